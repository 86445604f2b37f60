"""Human3.6M is evaluated as the authors of SeS-GCN do, shown against their procedure written out.

The procedure here is theirs step by step: text files to 32 joints in millimetres, a network with
their operations on 22 of them, the joints that coincide copied, the mean over 32 joints and frames.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import typer
from official_state import human36m_state
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from ses_gcn_ros.commands.windows import evaluate_windows
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.studies.reference import reference_model

ACTIONS = {"walking": (700, 641), "eating": (540, 811)}  # lines of both recordings, 50 Hz
DIM_USED = [*range(6, 18), *range(21, 33), *range(36, 48), *range(51, 60), *range(63, 69)]
DIM_USED += [*range(75, 84), *range(87, 93)]
TO_IGNORE, EQUAL = [16, 20, 23, 24, 28, 31], [13, 19, 22, 13, 27, 30]
PARENT = [-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14, 12, 16, 17, 18, 19, 20, 19, 22]
PARENT += [12, 24, 25, 26, 27, 28, 27, 30]
OFFSET = np.zeros((32, 3))
for _axis, _lengths in {
    0: {1: -132.948591, 6: 132.948826},
    1: {2: -442.894612, 3: -454.206447, 7: -442.894413, 8: -454.20659, 11: 0.1, 12: 233.383263}
    | {13: 257.077681, 14: 121.134938, 15: 115.002227, 16: 257.077681, 17: 151.034226}
    | {18: 278.882773, 19: 251.733451, 22: 100.000188, 24: 257.077681, 25: 151.031437}
    | {26: 278.892924, 27: 251.72868, 30: 137.499922},
    2: {4: 162.767078, 5: 74.999437, 9: 162.767426, 10: 74.999948, 21: 99.999627, 29: 99.999888},
}.items():
    for _joint, _length in _lengths.items():
        OFFSET[_joint, _axis] = _length


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h36m")
    rng = np.random.default_rng(0)
    for action, both in ACTIONS.items():
        for number, lines in enumerate(both, start=1):
            time = np.arange(lines)[:, None] / 50
            rate, phase = rng.uniform(0.2, 1.0, 99), rng.uniform(0, 6, 99)
            table = 0.4 * rng.normal(size=99) * np.sin(2 * np.pi * rate * time + phase)
            path = folder / "S5" / f"{action}_{number}.txt"
            path.parent.mkdir(exist_ok=True)
            np.savetxt(path, table, fmt="%.7f", delimiter=",")
    return folder


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Weights of the Human3.6M shape, in the authors' files and imported."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(human36m_state(), folder / "h36m.pth")
    rng = np.random.default_rng(0)
    np.save(folder / "a.npy", rng.integers(0, 2, (5, 10, 22, 22)).astype(np.float32))
    np.save(folder / "t.npy", rng.integers(0, 2, (5, 22, 10, 10)).astype(np.float32))
    path = folder / "h36m.safetensors"
    weights = import_official(folder / "h36m.pth", path, folder / "a.npy", folder / "t.npy")
    return path, reference_model(weights)


def joints_mm(path) -> np.ndarray:
    """32 joints of every other line, global rotation and translation off, one joint at a time."""
    lines = np.loadtxt(path, delimiter=",", dtype=np.float32)[::2].astype(float)
    lines[:, :6] = 0
    turn, place = [], []
    for joint, parent in enumerate(PARENT):
        own = Rotation.from_rotvec(lines[:, 3 + 3 * joint : 6 + 3 * joint]).as_matrix()
        turn.append(own if parent < 0 else own @ turn[parent])
        place.append(
            np.zeros((len(lines), 3))
            if parent < 0
            else OFFSET[joint] @ turn[parent] + place[parent]
        )
    return np.stack(place, axis=1)


def their_errors(dataset, model, windows: int) -> dict[str, np.ndarray]:
    """Error per frame [mm], mean over windows and 32 joints, of each action."""
    columns_to, columns_from = (
        np.concatenate([3 * np.array(joints) + axis for axis in range(3)])
        for joints in (TO_IGNORE, EQUAL)
    )
    found = {}
    for action in ACTIONS:
        recordings = [joints_mm(dataset / "S5" / f"{action}_{n}.txt") for n in (1, 2)]
        rng = np.random.RandomState(1234567890)
        batch = []
        for _ in range(windows // 2):
            for recording in recordings:
                start = rng.randint(16, len(recording) - 150) + 50 - 10
                batch.append(recording[start : start + 35].reshape(35, 96))
        truth = np.stack(batch)
        answer = truth[:, 10:].copy()
        history = torch.from_numpy(truth[:, :10, DIM_USED]).float().reshape(-1, 10, 22, 3)
        with torch.no_grad():
            answer[:, :, DIM_USED] = model(history).reshape(-1, 25, 66).numpy()
        answer[:, :, columns_to] = answer[:, :, columns_from]
        away = (answer - truth[:, 10:]).reshape(-1, 25, 32, 3)
        found[action] = np.linalg.norm(away, axis=-1).mean(axis=(0, 2))
    return found


app = typer.Typer()
app.command()(evaluate_windows)


def evaluate(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments), "--protocol", "h36m", "--json"])


@pytest.mark.parametrize("windows", [8, 256])
def test_the_figures_are_those_of_the_authors_procedure(dataset, imported, windows):
    path, model = imported
    result = evaluate("--data", dataset, "--weights", path, "--windows", windows)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    theirs = their_errors(dataset, model, windows)
    mean = np.mean(list(theirs.values()), axis=0)
    ours = summary["methods"][summary["model"]]["every_frame"]
    np.testing.assert_allclose(ours["at_frame"], mean, atol=0.05)
    averaged = np.cumsum(mean) / np.arange(1, 26)
    np.testing.assert_allclose(ours["up_to_frame"], averaged, atol=0.05)
    apart = np.abs(np.subtract(ours["at_frame"], ours["up_to_frame"]))
    assert apart.max() > 0.1
    for action, errors in theirs.items():
        (group,) = (g for name, g in summary["groups"].items() if name.endswith(action))
        assert group["windows"] == windows
        assert group["last"] == pytest.approx(errors[-1], abs=0.05)
        assert group["mean"] == pytest.approx(errors.mean(), abs=0.05)
    quoted = [source["figures"].get("SeS-GCN") for source in summary["quoted"]]
    assert quoted == [72.9]


def test_all_windows_can_be_asked_for(dataset, imported):
    summary = json.loads(
        evaluate("--data", dataset, "--weights", imported[0], "--windows", "all").stdout
    )
    frames = [(lines + 1) // 2 for both in ACTIONS.values() for lines in both]
    assert summary["windows"] == sum(frames) - 4 * 34
    assert summary["protocol"]["windows"] == "all"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--windows", "9"), "windows is '9'; protocol h36m has 256, 8, all"),
        (("--part", "half"), "part is 'half'; protocol h36m has test, validate, train"),
        (("--part", "train"), "none of 4 sequences belongs to the train part"),
    ],
)
def test_what_a_protocol_does_not_have_is_a_sentence(dataset, imported, arguments, sentence):
    result = evaluate("--data", dataset, "--weights", imported[0], *arguments)
    assert isinstance(result.exception, InputError)
    assert sentence in str(result.exception)


def test_weights_of_another_layout_are_a_sentence(dataset):
    result = evaluate("--data", dataset)
    assert isinstance(result.exception, InputError)
    assert "has layout h36m22; sesgcn_workcell takes chico15" in str(result.exception)


def test_recordings_too_short_to_draw_from_are_a_sentence(tmp_path, dataset, imported):
    short = tmp_path / "S5"
    short.mkdir()
    table = (dataset / "S5" / "walking_1.txt").read_text().splitlines()
    for number in (1, 2):
        (short / f"walking_{number}.txt").write_text("\n".join(table[:300]))
    result = evaluate("--data", tmp_path, "--weights", imported[0])
    assert "'S5/walking_1' has 150 frames; drawing windows as the field does takes 167" in str(
        result.exception
    )
    (short / "walking_2.txt").unlink()
    (short / "walking_1.txt").write_text("\n".join(table))
    result = evaluate("--data", tmp_path, "--weights", imported[0])
    assert "'S5/walking' has 1 recording" in str(result.exception)


def test_an_unknown_protocol_is_a_sentence(dataset):
    result = CliRunner().invoke(app, ["--data", str(dataset), "--protocol", "martian"])
    assert isinstance(result.exception, (ConfigError, InputError))
    assert "known are" in str(result.exception) or "it takes none" in str(result.exception)
