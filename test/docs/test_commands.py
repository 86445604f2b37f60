"""What README.md and docs/ tell a reader to type runs, and prints what it printed before.

``commands.txt`` is one script of all of it. ``SES_GCN_DOCS=long`` runs those that start nodes,
train or film, too; ``SES_GCN_DOCS=write`` (or ``write,long``) writes down what is printed now.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import glob
import io
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from command_line import commands

from ses_gcn_ros import cli
from ses_gcn_ros.audit import AuditLog
from ses_gcn_ros.commands.workcell import configs
from ses_gcn_ros.datasets.sequences import read_recording, write_recording
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import SafetyConfig

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("commands.txt")
MODES = os.environ.get("SES_GCN_DOCS", "").split(",")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
ELSEWHERE = {  # commands without an end, or that take minutes, and where they are run
    "up": "test/ros/test_up.py",
    "train-lifter": "test/training/test_lifting_training.py",
    "actions evaluate": "test/actions",
    "actions train": "test/actions",
    "actions delay": "test/actions",
    "sample": "test/bags/test_bag_commands.py",
    "attack": "test/studies/test_attack.py",
    "collisions": "test/studies/test_collisions.py",
    "commission": "test/replay/test_commissioning.py",
    "commission-study": "test/replay/test_commissioning.py",
    "evidence": "in the script, from the measurements that ship",
    "watch": "test/ros/test_watch.py",  # where a cell runs
    "soak": "test/ros/test_soak_command.py",  # says that a loaded machine is too slow
}

for folder in ("datasets", "forecast", ""):
    sys.path.append(str(ROOT / "test" / folder))
from boards import film_board  # noqa: E402
from official_state import human36m_state  # noqa: E402
from small_files import write_chico, write_h36m  # noqa: E402

ACTIONS = ("directions", "walking")
SUMMARY = {
    "forecasts": {
        "horizons_s": [0.08, 0.4, 1.0],
        "mpjpe_mm": {k: {"forecast": [1e3, 1e3, 1e3]} for k in ("at", "up_to")},
    },
    "safety": {"availability": 0.0, "worst": {"separation_m": 0.0}},
}


def split(line: str) -> tuple[str, list[str]]:
    """Name of the command of a line, and its words."""
    words = shlex.split(line.partition(" # ")[0].partition(" > ")[0], comments=False)[1:]
    name = (
        " ".join(words[:2]) if words[:1] in (["actions"], ["audit"]) else words[0] if words else ""
    )
    return name, words[len(name.split()) :]


def shown(page: Path) -> Iterator[str]:
    """Lines of ``ses-gcn`` on a page: of its blocks of code and between its backticks."""
    text = re.sub(r"\\\n\s*", " ", page.read_text("utf-8"))
    for line in re.findall(r"^(?:    )?(ses-gcn .+)$", text, re.MULTILINE):
        yield re.split(r"\s{2,}#|\s+#\s", line)[0]
    for line in re.findall(r"`((?:ROS_DOMAIN_ID=\S+ )?ses-gcn [^`]+)`", text):
        yield " ".join(line.partition("ses-gcn")[1:]).replace("  ", " ")


@dataclass
class Step:
    """A command of the script."""

    line: str
    short: str
    long: bool
    printed: list[str] = field(default_factory=list)

    def text(self) -> str:
        short = f" ## {self.short}" if self.short else ""
        return f"$ {'[long] ' if self.long else ''}{self.line}{short}"


def read_script() -> tuple[list[str], list[Step | str]]:
    """Lines of the introduction, and the steps with the headings between them."""
    head, _, rest = SCRIPT.read_text("utf-8").partition("\n# ")
    parts: list[Step | str] = []
    for line in ("# " + rest).splitlines():
        if line.startswith("$ "):
            command, _, short = line[2:].partition(" ## ")
            long = command.startswith("[long] ")
            parts.append(Step(command.removeprefix("[long] "), short, long))
        elif line.startswith(("# ", "\x00")) or not line:
            parts.append(line)
        else:
            step = parts[-1]
            assert isinstance(step, Step), line
            step.printed.append(line)
    return head.splitlines(), parts


STEPS = [part for part in read_script()[1] if isinstance(part, Step)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists_with_its_options(page):
    known = commands()
    for line in shown(page):
        name, words = split(line)
        if name in ("…", "", "actions", "--help"):
            continue
        assert name in known or name in {n.split()[0] for n in known}, f"{page.name}: {line}"
        if name not in known:
            continue
        options = {o for p in known[name].params for o in (*p.opts, *p.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= options | {"--help"}, f"{page.name}: {line}"


def test_every_command_in_a_block_of_a_page_is_in_the_script():
    def key(line: str) -> tuple[str, frozenset[str]]:
        name, words = split(line)
        return name, frozenset(word for word in words if re.match(r"--?[a-z]", word))

    covered = [key(f"{step.line} {step.short}") for step in STEPS]
    absent = [
        f"{page.name}: {line}"
        for page in PAGES
        for line in shown(page)
        for name, options in [key(line)]
        if options and name not in ELSEWHERE and not re.search("…|cmu_trials", line)
        if not any(name == other and options <= given for other, given in covered)
    ]
    assert absent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_launch_argument_on_a_page_is_declared(page):
    text = page.read_text("utf-8")
    for file, given in re.findall(r"ros2 launch ses_gcn_ros (\S+\.launch\.py)([^`#\n]*)", text):
        declared = re.findall(
            r'^    "(\w+)": \(', (ROOT / "launch" / file).read_text("utf-8"), re.M
        )
        assert set(re.findall(r"(\w+):=", given)) <= set(declared)
    for node, given in re.findall(r"ros2 run ses_gcn_ros (\w+) --ros-args([^`#\n]*)", text):
        fields = {*configs()[node].__dataclass_fields__, "__ns", "__node"}
        assert set(re.findall(r"-[pr] (\w+):=", given)) <= fields


def cut(source: Path, path: Path, seconds: float, every: int) -> None:
    """The beginnings of every so many-th sequence of a recording."""
    recording = read_recording(source)
    parts = [
        dataclasses.replace(s, source=s.stored[: int(seconds * s.fps)])
        for s in recording.sequences[::every]
    ]
    write_recording(path, parts, recording.about, millimetres=parts[0].stored.dtype.kind == "i")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, shared_data, run_bag) -> Path:
    """Folder with all that the script reads, by the names that the pages give it."""
    here: Path = tmp_path_factory.mktemp("docs")
    visitor = share_path("config", "demo", "visitor")
    for name in ("visitor", "my_shift", "my_bag", "monday", "tuesday", "shifts/a", "shifts/b"):
        shutil.copytree(visitor, here / name)
    if "long" in MODES:  # what a cell is taught by lasts longer
        for seed, name in enumerate(("monday", "tuesday")):
            words = f"--minutes 1 --people 2 --seed {seed} -o {here / name} --overwrite"
            assert run(f"ses-gcn sample {shared_data / 'motion' / 'cmu.npz'} {words}")[0] == 0
    for name in ("shift_1.mcap", "shift_2.mcap", "shift.mcap"):
        shutil.copyfile(visitor / "visitor.mcap", here / name)
    for name in ("BAG", "demo_out/bag"):
        shutil.copytree(run_bag, here / name)
    motion, official = shared_data / "motion", shared_data / "official"
    cut(motion / "cmu.npz", here / "cmu.npz", 4.0, 2)
    (here / "handover_dev.npz").symlink_to(motion / "handover_dev.npz")
    cut(motion / "idle_dev.npz", here / "idle_dev.npz", 4.0, 4)
    for name, every in (("handovers.npz", 50), ("MOTION.npz", 2)):
        cut(motion / "cmu.npz", here / name, 4.0, every)
    student = {
        "STATE_DICT": "chico_3d_25frames_Student.pth",
        "their_model.pth": "chico_3d_25frames_Teacher.pth",
    }
    student |= {"A.npy": "maskA_25fps.npy", "T.npy": "maskT_25fps.npy"}
    for name, theirs in student.items():
        (here / name).symlink_to(official / theirs)
    shutil.copyfile(DEFAULT_WEIGHTS, here / "mine.safetensors")
    for name in ("teacher.safetensors", "W"):
        import_official(official / student["their_model.pth"], here / name)
    state = here / "h36m.pth"
    torch.save(human36m_state(), state)
    import_official(state, here / "h36m.safetensors")
    (here / "sgn_ntu25.npz").symlink_to(shared_data / "official_actions" / "sgn_ntu25.npz")
    (here / "VIDEO").symlink_to(shared_data / "media" / "one_person.mp4")
    (here / "pose_landmarker_lite.task").symlink_to(
        shared_data / "media" / "pose_landmarker_lite.task"
    )
    for name in ("poses", "CHICO/poses"):
        write_chico(here / name, {"S00/hammer": 60, "S02/lift": 60, "S03/lift": 60})
    for name in ("h3.6m/dataset", "DATA"):
        actions = {f"S5/{action}_{k}": 400 for action in ACTIONS for k in (1, 2)}
        write_h36m(here / name, actions if name == "h3.6m/dataset" else {"S5/walking_1": 400})
    robot = {"robot_frames": [f"r{n}" for n in range(9)], "robot_radii": [0.1] * 8}
    robot |= {"tf_age_max": 1.0}
    content = {"/**/safety_node": {"ros__parameters": robot}}
    (here / "chico.yaml").write_text(yaml.safe_dump(content), "utf-8")
    numbers = json.dumps(SUMMARY)
    for name in ("main", "docs"):
        (here / name).mkdir()
    for name in ("before.json", "after.json", "main/summary.json"):
        (here / name).write_text(numbers, "utf-8")
    shutil.copyfile(ROOT / "docs" / "benchmarks.json", here / "docs" / "benchmarks.json")
    film_board(here)
    with contextlib.closing(AuditLog(str(here / "audit.jsonl"), SafetyConfig())) as log:
        log.record("state", level="STOP")
    return here


def run(line: str) -> tuple[int, str, str]:
    """Exit code and output of a command of the script, in this process."""
    line, _, target = line.partition(" > ")
    words = [
        found
        for word in shlex.split(line)
        for found in (sorted(glob.glob(word)) if "*" in word and "'" not in line else [word])
    ]
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = words
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    if target:
        Path(target).write_text(out.getvalue(), "utf-8")
        return code, "", err.getvalue()
    return code, out.getvalue(), err.getvalue()


def shape(text: str) -> list[str]:
    """How lines begin, up to what was measured: each once, in alphabetical order."""
    begin = re.compile(r"\W*(?:\d\S* )?([^\W\d]+(?:[ _-][^\W\d]+)*)")
    lines = re.sub(r"\b[0-9a-f]{16,}\b", "0", text).splitlines()  # without hashes
    return sorted({found[1] for found in map(begin.match, lines) if found})


def check(step: Step) -> list[str]:
    """Run a step; what it printed, in shape."""
    code, out, err = run(f"{step.line} {step.short}".strip())
    assert "Traceback" not in err
    printed = shape(out) + [f"! {line}" for line in shape(err)]
    said = err.splitlines()[-1:] if step.long else []
    return printed if code == 0 else [*printed, *said, f"exit code {code}"]


@pytest.mark.slow
def test_the_script_runs_and_prints_what_it_printed_before(workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("SES_GCN_STATE", str(workspace / "state"))
    different = {}
    for step in STEPS:
        if step.long and "long" not in MODES:
            continue
        printed = check(step)
        if "write" in MODES:
            step.printed = printed
        elif step.long and not step.printed:  # what depends on the machine: it only has to end well
            if printed[-1:] and printed[-1].startswith("exit code"):
                different[step.line] = "\n".join(printed)
        elif printed != step.printed:
            different[step.line] = "\n".join(difflib.ndiff(step.printed, printed))
    if "write" in MODES:
        head, parts = read_script()
        fresh = iter(STEPS)
        lines = [*head, ""]
        for part in parts:
            if isinstance(part, Step):
                step = next(fresh)
                lines += [step.text(), *step.printed]
            else:
                lines.append(part)
        SCRIPT.write_text("\n".join(lines) + "\n", "utf-8")
    assert different == {}, "\n\n".join(f"{line}\n{text}" for line, text in different.items())
