"""Whatever a command is given in the place of what it reads, it says one sentence and ends.

``SES_GCN_INPUTS=all`` tries every kind of wrong input, not one for each option.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import commands

from ses_gcn_ros import cli
from ses_gcn_ros.audit import AuditLog
from ses_gcn_ros.errors import LONGEST
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import SafetyConfig

for folder in ("forecast", "datasets"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
from small_files import write_chico  # noqa: E402
from untrained import make_weights  # noqa: E402

# What a command needs besides what is wrong, by the names of its parameters.
GIVEN: dict[str, dict[str, str]] = {
    "report": {"bag": "BAG"},
    "render": {"bag": "BAG", "out": "OUT.png"},
    "evaluate": {"bags": "BAG"},
    "compare": {"before": "SUMMARY", "after": "SUMMARY"},
    "convert": {"kind": "npz", "source": "MOTION", "out": "OUT.mcap"},
    "sample": {"motion": "CMU", "minutes": "0.01"},
    "dataset": {"data": "MOTION", "out": "OUT.npz"},
    "train": {"data": "MOTION", "out": "OUT.safetensors", "steps": "1"},
    "adapt": {"recordings": "BAG", "out": "OUT.safetensors", "steps": "1"},
    "ablate": {"data": "MOTION", "out": "OUT", "steps": "1"},
    "prune": {"weights": "WEIGHTS", "out": "OUT.safetensors", "keep": "0.5"},
    "masks": {"weights": "WEIGHTS", "data": "MOTION"},
    "import-official": {"state_dict": "STATE", "out": "OUT.safetensors"},
    "evaluate-windows": {"data": "MOTION", "part": "held_out"},
    "evaluate-stream": {"before": "MOTION", "after": "MOTION", "recipe": "none"},
    "evaluate-pose": {"motion": "MOTION", "scenes": "1", "mode": "monocular"},
    "train-lifter": {"data": "MOTION", "out": "OUT.safetensors"},
    "evaluate-lifters": {"data": "MOTION"},
    "collisions": {"data": "MOTION", "every": "1"},
    "alarm": {"data": "MOTION", "every": "1"},
    "braking-study": {"data": "MOTION", "runs": "1"},
    "attack": {"runs": "1", "case": "CASE"},
    "audit verify": {"log": "AUDIT"},
    "actions parity": {"files": "GOLDEN"},
    "actions evaluate": {"data": "MOTION", "leave_one_out": ""},
    "actions train": {"data": "MOTION", "out": "OUT.safetensors"},
    "actions delay": {"data": "MOTION"},
    "actions label": {"bag": "BAG"},
    "bench": {"saved": "BENCH"},
    "evidence": {"saved": "EVIDENCE"},
    "commission": {"out": "OUT", "stops": "BAG", "standing": "BAG", "walking": "BAG"},
    "calibrate": {"camera": "a=VIDEO", "intrinsics": "a=CASE", "out": "OUT.yaml"},
    "pose": {"video": "VIDEO", "out": "OUT"},
    "bench-pose": {"video": "VIDEO"},
}
# Parameters that name a file by a text, besides those that take a path.
FILES = {"robot", "params_file", "recipe", "bags", "stops", "camera", "intrinsics", "model"}
WRITTEN = {"out", "csv", "plot", "curves", "curve", "save", "markdown", "overlay", "launch", "root"}
UNREAD = {("bench", "weights"), ("bench", "video")}  # beside what was saved
WRONG = ("empty", "words", "bytes", "object", "list", "folder", "missing")


def inputs() -> Iterator[tuple[str, str]]:
    """Every command with every parameter of something that it reads."""
    for name in GIVEN:
        for parameter in commands()[name].params:
            kind = getattr(parameter, "type_descriptor", None) or parameter.type
            by_path = "path" in repr(kind).lower()
            read = parameter.name not in WRITTEN and (name, parameter.name) not in UNREAD
            if read and (by_path or parameter.name in FILES):
                yield name, parameter.name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """Folder with what commands read, and with what they can't."""
    from ses_gcn_ros.datasets.sequences import write_recording
    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.forecast.weights import write_weights
    from ses_gcn_ros.models.config import ModelConfig

    here: Path = tmp_path_factory.mktemp("inputs")
    chico = write_chico(here / "chico", {"S00/hammer": 80, "S02/lift": 80})
    write_recording(here / "MOTION.npz", read_dataset(chico).sequences, {"data": "made up"})
    write_weights(here / "WEIGHTS.safetensors", make_weights(ModelConfig(layout="chico15")))
    with contextlib.closing(AuditLog(str(here / "AUDIT.jsonl"), SafetyConfig())) as log:
        log.record("state")
    (here / "SUMMARY.json").write_text(json.dumps({"forecasts": {}}))
    for name, content in {
        "empty": b"",
        "words": b"what is this\n" * 40,
        "bytes": np.random.default_rng(0).bytes(4000),
        "object": b'{"a": 1}',
        "list": b"[1, 2, [3]]",
    }.items():
        (here / name).write_bytes(content)
    (here / "folder").mkdir()
    return here


def names(place: Path, shared: Path) -> dict[str, Path]:
    """What the words in capitals stand for."""
    return {
        "BAG": share_path("config", "demo", "visitor"),
        "CMU": shared / "motion" / "cmu.npz",
        "STATE": shared / "official" / "chico_3d_25frames_Teacher.pth",
        "GOLDEN": shared / "official_actions" / "sgn_ntu25.npz",
        "VIDEO": shared / "media" / "one_person.mp4",
        "BENCH": share_path("docs", "benchmarks.json"),
        "EVIDENCE": share_path("docs", "evidence.json"),
        "CASE": place / "object",
        "OUT": place / "out",
        **{file.stem: file for file in place.glob("[A-Z]*.*")},
    }


def words(name: str, wrong: str, path: Path, known: dict[str, Path]) -> list[str]:
    """Command line in which one parameter is given what is wrong."""
    line = name.split()
    for parameter in commands()[name].params:
        value = GIVEN[name].get(parameter.name)
        if parameter.name == wrong:
            value = f"a={path}" if parameter.name in ("camera", "intrinsics") else str(path)
        elif value is not None:
            for word, file in known.items():
                head, found, tail = value.partition(word)
                if found and head in ("", "a=") and (not tail or tail.startswith(".")):
                    value = f"{head}{file}{tail}"
                    break
        if value is None:
            continue
        flag = parameter.opts[:1] if parameter.param_type_name == "option" else []
        line += [*flag, *([value] if value else [])]
    return line


@pytest.mark.parametrize(("name", "parameter"), inputs())
def test_what_is_wrong_is_one_sentence(name, parameter, place, shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = WRONG
    if os.environ.get("SES_GCN_INPUTS") != "all":
        kinds = (WRONG[zlib.crc32(f"{name} {parameter}".encode()) % len(WRONG)],)
    known = names(place, shared_data) | {"OUT": tmp_path / "out"}
    for kind in kinds:
        suffix = ".yaml" if parameter == "recipe" else ""
        path = place / kind
        if suffix and path.exists():
            (link := tmp_path / f"{kind}{suffix}").unlink(missing_ok=True)
            link.symlink_to(path)
            path = link
        line = words(name, parameter, path, known)
        code, err = run(line)
        said = [text for text in err.splitlines() if text]
        if parameter == "params_file" and kind == "empty":  # of which all defaults hold
            continue
        assert code in (1, 2), (line, err)
        assert "Traceback" not in err, (line, err)
        if code == 1:
            assert said, line
            assert len(said[-1]) <= LONGEST + len("error: "), line


def run(line: list[str]) -> tuple[int, str]:
    """Exit code and what was said, with a traceback where one would end the command."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["ses-gcn", *line]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    except Exception as error:
        return 1, f"Traceback: {error!r}"
    finally:
        sys.argv = before
    return code, err.getvalue() or out.getvalue()
