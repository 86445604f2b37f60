"""Data sets become bags: people where they were, the robot as frames of TF."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ses_gcn_ros.bags.messages import NANO
from ses_gcn_ros.bags.rosbag2 import read_messages, read_skeletons, topics_of
from ses_gcn_ros.cli import app
from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import ConfigError, InputError, SesGcnError
from ses_gcn_ros.replay.convert import PAUSE, START, read_takes, write_takes


def chico_file(path: Path, frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Write a file in the form of CHICO and return its people and robot [m]."""
    generator = np.random.default_rng(seed)
    person = generator.normal(0, 400, (frames, 15, 3))
    robot = generator.normal(0, 300, (frames, 9, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(list(zip(person, robot, strict=True))))
    return person / 1000, robot / 1000


@pytest.fixture
def chico(tmp_path: Path) -> Path:
    """Return a folder in the form of CHICO with two takes."""
    chico_file(tmp_path / "poses" / "S00" / "hammer.pkl", 12)
    chico_file(tmp_path / "poses" / "S02" / "polish_CRASH.pkl", 9, seed=1)
    return tmp_path / "poses"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    if isinstance(result.exception, SesGcnError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_chico_gives_people_and_nine_frames_of_the_robot(tmp_path):
    person, robot = chico_file(tmp_path / "poses" / "S00" / "hammer.pkl", 12)
    run("chico", tmp_path / "poses", "-o", tmp_path / "chico.mcap")
    bag = tmp_path / "chico.mcap"
    assert bag.is_file()
    *seen, last = read_skeletons(bag)
    np.testing.assert_allclose([o.stamp - START for o in seen], np.arange(12) / 25, atol=1e-6)
    assert {o.frame_id for o in seen} == {"world"}
    assert last.people == []  # the take is over
    positions = np.stack([o.people[0].positions for o in seen])
    np.testing.assert_allclose(positions, person, atol=1e-6)
    transforms = [m.content.transforms for m in read_messages(bag, ["/tf"])]
    assert [t.child_frame_id for t in transforms[0]] == [f"r{i}" for i in range(9)]
    points = [[(t.transform.translation.x, t.transform.translation.y, t.transform.translation.z)
               for t in entry] for entry in transforms[:12]]  # fmt: skip
    np.testing.assert_allclose(points, robot, atol=1e-6)


def test_takes_of_one_bag_are_named_and_apart(chico, tmp_path):
    length = write_takes("chico", read_takes("chico", chico), tmp_path / "all.mcap")
    takes = [(m.stamp / NANO - START, m.content.data) for m in
             read_messages(tmp_path / "all.mcap", ["take"])]  # fmt: skip
    assert [name for _, name in takes] == ["S00/hammer", "S02/polish_CRASH"]
    assert takes[1][0] == pytest.approx(12 / 25 + PAUSE, abs=1e-6)
    assert length == pytest.approx(takes[1][0] + 9 / 25, abs=1e-6)
    people = {p.person_id for o in read_skeletons(tmp_path / "all.mcap") for p in o.people}
    assert people == {"S00/hammer", "S02/polish_CRASH"}


def test_a_folder_gets_a_bag_a_take_and_is_resumed(chico, tmp_path):
    out = tmp_path / "bags"
    (chico / "S02" / "polish_CRASH.pkl").rename(tmp_path / "later.pkl")
    (chico / "S02" / "polish_CRASH.pkl").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"polish_CRASH\.pkl' is no pickle"):
        run("chico", chico, "-o", out)
    first = (out / "S00" / "hammer" / "hammer.mcap").stat().st_mtime_ns
    (tmp_path / "later.pkl").rename(chico / "S02" / "polish_CRASH.pkl")
    run("chico", chico, "-o", out)
    assert (out / "S00" / "hammer" / "hammer.mcap").stat().st_mtime_ns == first
    assert len(list(read_skeletons(out / "S02" / "polish_CRASH"))) == 10


def test_takes_are_chosen_by_name(chico, tmp_path):
    run("chico", chico, "-o", tmp_path / "bags", "--only", "*_CRASH")
    assert [path.name for path in (tmp_path / "bags").iterdir()] == ["S02"]
    with pytest.raises(ConfigError, match="'S9/"):
        run("chico", chico, "-o", tmp_path / "bags", "--only", "S9/*")


def test_people_recorded_together_are_in_one_take(tmp_path, shared_data):
    source = shared_data / "motion" / "handover_dev.npz"
    give, receive = sorted(read_recording(source).sequences[:2], key=lambda s: s.name)
    run("npz", source, "-o", tmp_path / "bags", "--only", give.name.rpartition("/")[0])
    (bag,) = (tmp_path / "bags").iterdir()
    *seen, _ = read_skeletons(bag)
    assert len(seen) == len(give)
    first = {p.person_id: p.positions for p in seen[0].people}
    assert set(first) == {give.name, receive.name}
    np.testing.assert_allclose(first[give.name], give.positions[0], atol=1e-6)
    assert "/tf" not in topics_of(bag)


def test_human36m_is_set_upright(tmp_path):
    """Its axes are y up; a bag's are z up."""
    path = tmp_path / "data" / "S5" / "walking_1.txt"
    path.parent.mkdir(parents=True)
    np.savetxt(path, np.zeros((8, 99)), delimiter=",")
    run("h36m", tmp_path / "data", "-o", tmp_path / "h36m.mcap")
    seen = next(read_skeletons(tmp_path / "h36m.mcap"))
    (person,) = seen.people
    height = dict(zip(("head", "knee"), person.positions[[11, 0], 2], strict=True))
    assert height["head"] > 0.5
    assert height["knee"] < -0.4


def test_a_bag_is_whole_or_not_there(chico, tmp_path):
    (chico / "S02" / "polish_CRASH.pkl").write_bytes(b"damaged")
    with pytest.raises(InputError):
        run("chico", chico, "-o", tmp_path / "all.mcap")
    assert not (tmp_path / "all.mcap").exists()
    (tmp_path / "all.mcap").write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        run("chico", chico, "-o", tmp_path / "all.mcap")
    run("chico", chico, "-o", tmp_path / "all.mcap", "--overwrite", "--only", "S00/*")
    assert len(list(read_skeletons(tmp_path / "all.mcap"))) == 13


def test_an_unknown_kind_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="'kitti'; there are chico, h36m, npz"):
        run("kitti", tmp_path, "-o", tmp_path / "out.mcap")


@pytest.mark.parametrize("name", ["../beside", "/tmp/elsewhere", ".", "a/../.."])
def test_no_take_is_written_outside_of_the_folder(tmp_path, name):
    path = tmp_path / "motion.npz"
    positions = np.zeros((4, 15, 3), np.float32)
    np.savez(path, ids=np.array([name]), lengths=np.array([4]), fps=25.0, positions_m=positions)
    with pytest.raises(InputError, match="would not lie below"):
        run("npz", path, "-o", tmp_path / "bags")
    assert sorted(tmp_path.iterdir()) == [path]
