"""The authors' weights answer as the authors' code does, and nothing else passes for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from official_state import human36m_state

from ses_gcn_ros import forecast
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.models.sesgcn import SeSGCN

TOLERANCE = 5e-3  # mm, in float32


@pytest.fixture(scope="session")
def official(shared_data: Path) -> Path:
    return shared_data / "official"


@pytest.fixture(scope="session", params=[10, 25])
def student(request, official: Path, tmp_path_factory) -> tuple[int, Path]:
    """Horizon and imported weights of an official student."""
    horizon = request.param
    out = tmp_path_factory.mktemp("official") / "student.safetensors"
    import_official(
        official / f"chico_3d_{horizon}frames_Student.pth",
        out,
        official / f"maskA_{horizon}fps.npy",
        official / f"maskT_{horizon}fps.npy",
    )
    return horizon, out


@pytest.mark.parametrize("kind", ["", "_noise"])
def test_students_answer_the_golden_inputs(student, official, kind):
    horizon, path = student
    golden = np.load(official / f"golden_chico_{horizon}.npz")
    engine = forecast.load(path, device="cpu")
    metres = golden["x" + kind].transpose(0, 2, 3, 1) / np.float32(1000)
    answer = 1000.0 * engine.predict(metres).transpose(0, 1, 3, 2).astype(np.float64)
    assert np.abs(answer - golden["y" + kind]).max() < TOLERANCE
    assert np.abs(answer - golden["y64" + kind]).max() < TOLERANCE


@pytest.mark.parametrize("kind", ["", "_noise"])
def test_every_layer_answers_as_the_authors_layer(student, official, kind):
    horizon, path = student
    golden = np.load(official / f"golden_chico_{horizon}.npz")
    weights = forecast.read_weights(path)
    network = SeSGCN(weights.config).eval()
    network.load_state_dict(
        {name: torch.from_numpy(tensor) for name, tensor in weights.tensors.items()}, strict=False
    )
    x = torch.from_numpy(golden["x" + kind]).permute(3, 2, 0, 1)  # (J, T, N, C)
    with torch.no_grad():
        for index, layer in enumerate(network.layers):
            x = layer(x)
            theirs = golden[f"st{index}{kind}"]
            assert np.abs(x.permute(2, 3, 1, 0).numpy() - theirs).max() < TOLERANCE, (
                f"layer {index}"
            )


def test_sizes_and_units_are_recorded(student):
    horizon, path = student
    config = forecast.read_weights(path).config
    assert (config.horizon, config.joints, config.observed) == (horizon, 15, 10)
    assert (config.unit, config.fps, config.layout) == ("mm", 25.0, "chico15")


@pytest.mark.parametrize("horizon", [10, 25])
def test_teachers_import_and_run(official, tmp_path, horizon):
    out = tmp_path / "teacher.safetensors"
    import_official(official / f"chico_3d_{horizon}frames_Teacher.pth", out)
    engine = forecast.load(out, device="cpu")
    answer = engine.predict(np.full((2, 10, 15, 3), 0.5, np.float32))
    assert answer.shape == (2, horizon, 15, 3)
    assert np.isfinite(answer).all()
    assert engine.name == f"sesgcn_chico15_{horizon}"  # it may be a student without its masks


def test_the_made_up_human36m_state_has_the_official_tensors(official):
    theirs = torch.load(
        official / "chico_3d_25frames_Teacher.pth", weights_only=True, map_location="cpu"
    )
    ours = human36m_state(joints=15)
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_human36m_checkpoints_of_22_joints_import(tmp_path):
    torch.save(human36m_state(), tmp_path / "h36m.pth")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.integers(0, 2, (5, 10, 22, 22)).astype(np.float32))
    np.save(tmp_path / "t.npy", rng.integers(0, 2, (5, 22, 10, 10)).astype(np.float32))
    weights = import_official(
        tmp_path / "h36m.pth", tmp_path / "o.safetensors", tmp_path / "a.npy", tmp_path / "t.npy"
    )
    assert weights.config.layout == "h36m22"
    engine = forecast.load(tmp_path / "o.safetensors", device="cpu")
    assert engine.predict(np.zeros((1, 10, 22, 3), np.float32)).shape == (1, 25, 22, 3)


def without(key: str):
    return {name: tensor for name, tensor in human36m_state().items() if name != key}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: [1, 2], "holds a list, not a state dict"),
        (lambda: {"a": torch.ones(2)}, "is no SeS-GCN: it lacks"),
        (
            lambda: without("txcnns.2.block.0.bias"),
            "lacks 1 tensors, first 'decoder.convolutions.2",
        ),
        (lambda: {**human36m_state(), "extra": torch.ones(1)}, "does not have, first 'extra'"),
        (lambda: human36m_state(joints=18), "is for 18 joints; known are 15"),
        (lambda: {**human36m_state(), "prelus.0.weight": torch.ones(3)}, r"shape \(3,\)"),
        (lambda: {**human36m_state(), "prelus.0.weight": torch.tensor([np.nan])}, "not finite"),
    ],
    ids=["list", "foreign", "missing", "surplus", "joints", "misshapen", "nan"],
)
def test_anything_else_is_refused_and_nothing_written(tmp_path, content, sentence):
    torch.save(content(), tmp_path / "other.pth")
    out = tmp_path / "out.safetensors"
    with pytest.raises(ModelError, match=sentence):
        import_official(tmp_path / "other.pth", out)
    assert not out.exists()


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(ModelError, match="no state dict of tensors"):
        import_official(tmp_path / "text.pth", tmp_path / "o.safetensors")
    with pytest.raises(ModelError, match="there is no state dict at"):
        import_official(tmp_path / "absent.pth", tmp_path / "o.safetensors")


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ModelError, match="no state dict of tensors"):
        import_official(tmp_path / "trap.pth", tmp_path / "o.safetensors")
    assert not (tmp_path / "sprung").exists()


def test_masks_come_in_pairs_of_the_right_shape(official, tmp_path):
    state = official / "chico_3d_25frames_Student.pth"
    out = tmp_path / "o.safetensors"
    a, t = official / "maskA_25fps.npy", official / "maskT_25fps.npy"
    with pytest.raises(ModelError, match="--mask-a is given without --mask-t"):
        import_official(state, out, mask_a=a)
    with pytest.raises(ModelError, match="--mask-t is given without --mask-a"):
        import_official(state, out, mask_t=t)
    with pytest.raises(ModelError, match=r"these weights take \(5, 10, 15, 15\)"):
        import_official(state, out, mask_a=t, mask_t=a)
    np.save(tmp_path / "half.npy", np.full((5, 10, 15, 15), 0.5, np.float32))
    with pytest.raises(ModelError, match="other values than 0 and 1"):
        import_official(state, out, mask_a=tmp_path / "half.npy", mask_t=t)
    assert not out.exists()
