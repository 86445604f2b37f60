"""The benchmark compares with the authors' network, and says what it measured on what."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.commands.studies import SECTIONS
from ses_gcn_ros.errors import InputError, ModelError
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights
from ses_gcn_ros.studies.benchmarks import core, harness, networks
from ses_gcn_ros.studies.benchmarks.harness import Section
from ses_gcn_ros.studies.reference import reference_model


@pytest.mark.parametrize("horizon", [10, 25])
def test_the_reference_is_the_authors_network(shared_data, tmp_path, horizon):
    official = shared_data / "official"
    weights = import_official(
        official / f"chico_3d_{horizon}frames_Student.pth",
        tmp_path / "s.safetensors",
        official / f"maskA_{horizon}fps.npy",
        official / f"maskT_{horizon}fps.npy",
    )
    golden = np.load(official / f"golden_chico_{horizon}.npz")
    features = torch.from_numpy(golden["x"]).double().permute(0, 2, 3, 1)
    with torch.no_grad():
        answer = reference_model(weights).double()(features).permute(0, 1, 3, 2).numpy()
    assert np.abs(answer - golden["y64"]).max() < 1e-6  # mm


def quietly(_: str) -> None:
    """Progress that nobody looks at."""


def test_every_engine_meets_the_reference_at_every_size():
    weights = read_weights(DEFAULT_WEIGHTS)
    rows, missing = networks.measure(weights, (1, 3), seconds=0.0, progress=quietly)
    assert not missing
    assert [(row["people"], row["by"]) for row in rows] == [
        (people, name) for people in (1, 3) for name in ("reference", "compiled", "onnx", "eager")
    ]
    for row in rows:
        assert 0 < row["median"] <= row["p99"]
        assert row["calls"] >= 10
        assert row["error"] < 1e-5  # m
    assert [row["ratio"] for row in rows if row["by"] == "reference"] == [1, 1]


def test_an_engine_that_can_not_be_built_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rows, missing = networks.measure(
        read_weights(DEFAULT_WEIGHTS), (1,), seconds=0.0, progress=quietly
    )
    assert [row["by"] for row in rows] == ["reference", "compiled", "eager"]
    assert "needs onnxruntime" in missing["onnx"]


def test_without_torch_there_is_no_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="reference needs torch"):
        networks.engines(True, quietly)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_section_says_so():
    section = networks.gpu(True, quietly)
    assert not section.rows
    assert "not measured: torch finds no GPU" in section.notes[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_every_engine_of_a_gpu_meets_the_reference_there():
    section = networks.gpu(True, quietly)
    assert {row["by"] for row in section.rows} == {
        *("reference", "cuda", "graph", "eager", "empty kernels")
    }
    for row in section.rows:
        if row["by"] == "cuda":
            assert row["error"] < 5e-5  # m
            assert row["median"] > row["at_peak"] > 0


def test_operations_are_those_of_the_products():
    config = networks.LARGER
    rows = config.joints * config.observed
    widths = [config.features, *config.widths]
    products = sum(rows * rows * inputs for inputs in widths[:-1])  # frames and joints in one
    products += sum(rows * a * b for a, b in itertools.pairwise(widths))
    products += sum(rows * a * b for a, b in itertools.pairwise(widths) if a != b)  # residuals
    steps = [config.observed, *[config.horizon] * 4]
    products += sum(config.joints * 3 * 3 * a * 3 * b for a, b in itertools.pairwise(steps))
    assert networks.operations(torch, networks.untrained(config)) == 2 * products


def test_distances_are_those_of_coal_compiled_and_not():
    pytest.importorskip("coal")
    section = core.geometry(True, quietly)
    assert [row["by"] for row in section.rows] == ["coal", "numpy", "numba"] * 2
    assert all(row["error"] < 1e-9 for row in section.rows)


def test_without_coal_the_compiled_kernel_is_held_against_numpy(monkeypatch):
    monkeypatch.setattr(core, "_coal_is_there", lambda: False)
    section = core.geometry(True, quietly)
    assert [row["by"] for row in section.rows] == ["numpy", "numba"] * 2
    assert "coal was not measured" in section.notes[0]


def test_the_command_prints_saves_and_shows_again(tmp_path):
    saved, page = tmp_path / "bench.json", tmp_path / "bench.md"
    said = CliRunner().invoke(
        app, ["bench", "--quick", "--section", "geometry", "--json", "--save", str(saved)]
    )
    assert said.exit_code == 0, said.output
    result = json.loads(said.stdout)
    assert result == json.loads(saved.read_text())
    assert {"processor", "cores", "versions"} <= set(result["machine"])
    assert [section["name"] for section in result["sections"]] == ["geometry"]
    said = CliRunner().invoke(app, ["bench", "--from", str(saved), "--markdown", str(page)])
    assert said.exit_code == 0, said.output
    section = Section(**result["sections"][0])
    assert section.title in said.stdout
    for row in section.rows:
        cells = [column.show(row) for column in section.columns]
        assert "| " + " | ".join(cells) + " |" in page.read_text()


@pytest.mark.parametrize("content", ["", "[]", '{"sections": [{"name": "engines"}]}'])
def test_a_file_without_measurements_is_refused(tmp_path, content):
    path = tmp_path / "bench.json"
    path.write_text(content)
    with pytest.raises(InputError, match="holds no measurements"):
        harness.read(path)


def test_an_unknown_section_is_named():
    said = CliRunner().invoke(app, ["bench", "--section", "speed"])
    assert "there is no section 'speed'" in str(said.exception)


def test_training_and_evaluation_are_timed(monkeypatch):
    monkeypatch.setattr(harness, "_FEWEST", 1)  # steps in a row
    section = networks.training(True, quietly)
    assert [row["by"] for row in section.rows] == ["reference", "ours", "batch"]
    assert all(row["windows"] > 0 for row in section.rows)
    sample, shift, many = core.replay(True, quietly).rows
    assert (sample["frames"], many["frames"], shift["frames"]) == (372, 4 * 372, 750)
    for row in (sample, shift):
        assert 0 < row["replay"] < row["took"]
    assert many["replay"] is None  # which are replayed side by side
    assert many["recorded"] == pytest.approx(4 * sample["recorded"])
    assert shift["recorded"] == pytest.approx(30.0, abs=0.1)
    for row in (sample, many, shift):
        assert row["speed"] == row["recorded"] / row["took"]
        assert 50e6 < row["memory"] < 900e6  # three processes at most, each with its figures


def test_the_page_is_what_the_saved_measurements_say():
    docs = Path(__file__).resolve().parents[2] / "docs"
    content = harness.read(docs / "benchmarks.json")
    assert (docs / "benchmarks.md").read_text() == harness.markdown(content)
    assert {section["name"] for section in content["sections"]} == set(SECTIONS)


def test_what_a_benchmark_runs_ends_even_when_it_is_killed():
    program = (
        "import time\n"
        "from ses_gcn_ros.studies.benchmarks.harness import running\n"
        "with running([['timeit', '-n1', '-r1', 'import time; time.sleep(60)']], {}) as (child,):\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as benchmark:
        assert benchmark.stdout is not None
        child = Path("/proc") / benchmark.stdout.readline().decode().strip()
        assert "timeit" in (child / "cmdline").read_text()
        benchmark.kill()
    deadline = time.monotonic() + 20
    while runs(child):
        assert time.monotonic() < deadline, "the child outlives the benchmark"
        time.sleep(0.02)


def runs(process: Path) -> bool:
    try:
        return " Z " not in (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
