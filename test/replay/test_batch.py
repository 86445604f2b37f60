"""Many bags: failures named, killed workers survived, nothing done twice."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import tempfile
from pathlib import Path

import pytest
import zstandard

from ses_gcn_ros.bags.messages import Observation
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_skeletons, write_skeletons
from ses_gcn_ros.errors import BagError, ConfigError
from ses_gcn_ros.replay import evaluate as evaluation
from ses_gcn_ros.replay.batch import BatchOutcome, evaluate_all, find_bags, folders_of, merge
from ses_gcn_ros.replay.options import Options

OPTIONS = Options(replay_data=False)
COUNT, BROKEN = 40, (7, 20, 33)


def write_bag(path: Path, people: list[Observation]) -> Path:
    with BagWriter(path) as bag:
        write_skeletons(bag, "/skeletons", people)
    return path


@pytest.fixture(scope="module")
def bags(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty second-long recordings, three of them cut off in their first bytes."""
    people = list(read_skeletons(request.getfixturevalue("sample")))
    folder = tmp_path_factory.mktemp("bags")
    made = []
    for number in range(COUNT):
        path = write_bag(folder / f"bag_{number:02}", people[5 * number : 5 * number + 25])
        if number in BROKEN:
            (file,) = path.glob("*.mcap")
            file.write_bytes(file.read_bytes()[:50])
        made.append(path)
    return made


def workers() -> list[int]:
    """Worker processes that this one has."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if parent == os.getpid() and b"loky" in command and b"tracker" not in command:
                found.append(int(entry.name))
    return found


def written(out: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/outcome.json")}


@pytest.mark.slow
def test_forty_bags_three_broken_one_worker_killed(bags, tmp_path):
    told: list[BatchOutcome] = []
    before: dict[str, int] = {}

    def done(outcome: BatchOutcome) -> None:
        told.append(outcome)
        if len(told) == COUNT // 2:
            before.update(written(tmp_path))
            os.kill(workers()[0], signal.SIGKILL)

    outcomes = evaluate_all(bags, tmp_path, OPTIONS, jobs=2, done=done)
    failed = [outcome for outcome in outcomes if outcome.error]
    assert [outcome.bag for outcome in failed] == [str(bags[number]) for number in BROKEN]
    assert all("can't be read" in outcome.error for outcome in failed)
    assert sum(outcome.summary is not None for outcome in outcomes) == COUNT - len(BROKEN)
    assert len(before) >= COUNT // 2
    after = written(tmp_path)
    assert {name: after[name] for name in before} == before, "a bag was replayed twice"

    again = evaluate_all(bags, tmp_path, OPTIONS, jobs=2)
    assert written(tmp_path) == after, "a resumed run replayed a bag that was done"
    assert again == outcomes

    total = merge(again)
    assert len(total["bags"]) == COUNT
    assert total["frames"] == 25 * (COUNT - len(BROKEN))
    assert total["partial"]
    assert sum("can't be read" in told for told in total["problems"]) == len(BROKEN)


def test_a_bag_whose_reading_process_is_killed_is_tried_again(bags, tmp_path, monkeypatch):
    here, read = os.getpid(), evaluation.open_bag

    def killed(path: Path) -> object:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path)

    monkeypatch.setattr(evaluation, "_can_fork", lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "open_bag", killed)
        [failed] = evaluate_all(bags[:1], tmp_path, OPTIONS)
    assert "was killed, perhaps for want of memory" in failed.error
    [done] = evaluate_all(bags[:1], tmp_path, OPTIONS)
    assert not done.error


def test_a_bag_for_whose_copy_there_is_no_room_is_tried_again(bags, tmp_path):
    """A file may be no larger than 4096 bytes, which fails as a full disk does."""
    (file,) = bags[0].glob("*.mcap")
    packed, out = tmp_path / "bag.mcap.zstd", tmp_path / "out"
    packed.write_bytes(zstandard.compress(file.read_bytes()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        [failed] = evaluate_all([packed], out, OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"File too large: '{tempfile.gettempdir()}'" in failed.error
    [done] = evaluate_all([packed], out, OPTIONS)
    assert not done.error


def test_other_options_or_another_content_are_done_anew(bags, tmp_path):
    (first,) = evaluate_all(bags[:1], tmp_path, OPTIONS)
    done = written(tmp_path)
    evaluate_all(bags[:1], tmp_path, Options(replay_data=False, threshold=0.2))
    assert written(tmp_path) != done
    done = written(tmp_path)
    (other,) = evaluate_all(bags[1:2], tmp_path, OPTIONS)
    assert other.summary != first.summary
    assert len(written(tmp_path)) == 2


def test_merged_numbers_are_those_of_all_bags_together(bags, tmp_path):
    outcomes = evaluate_all(bags[:2], tmp_path, OPTIONS)
    merged = merge(outcomes)["forecasts"]
    parts = [outcome.summary["forecasts"] for outcome in outcomes]
    assert merged["compared"] == sum(part["compared"] for part in parts)
    expected = sum(
        part["compared"] * part["mpjpe_mm"]["at"]["forecast"][0] for part in parts
    ) / sum(part["compared"] for part in parts)
    assert merged["mpjpe_mm"]["at"]["forecast"][0] == pytest.approx(expected, abs=1e-5)


def test_what_is_wrong_with_bags_is_told_of_all_of_them(bags, tmp_path):
    outcomes = evaluate_all(bags[:3], tmp_path, OPTIONS)
    own = {sentence for outcome in outcomes for sentence in outcome.summary["problems"]}
    assert own  # no robot, for one
    told = merge(outcomes)["problems"]
    assert {sentence.partition(" of 3 bags: ")[2] for sentence in told} == own
    many = [f"message {number} is refused" for number in range(30)]
    wrong = dataclasses.replace(outcomes[0], summary={**outcomes[0].summary, "problems": many})
    assert merge([wrong])["problems"][-1].startswith("20 more")


def test_a_pattern_that_finds_nothing_is_refused_and_names_are_kept_apart(tmp_path):
    for name in ("a/run", "b/run"):
        (tmp_path / name).mkdir(parents=True)
    found = find_bags([str(tmp_path / "*/run"), str(tmp_path / "a/run")])
    assert found == [tmp_path / "a/run", tmp_path / "b/run"]
    assert folders_of(found) == ["a-run", "b-run"]
    with pytest.raises(BagError, match=r"bag '.*nothing\*' does not exist"):
        find_bags([str(tmp_path / "nothing*")])


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(bags, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs Dask")
    here = evaluate_all(bags[6:9], tmp_path / "here", OPTIONS)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        there = evaluate_all(
            bags[6:9], tmp_path / "there", OPTIONS, cluster=cluster.scheduler_address
        )
    assert there == here
    assert json.loads((tmp_path / "there/bag_07/outcome.json").read_text())["error"]


def test_a_cluster_that_is_not_there_is_named(bags, tmp_path):
    pytest.importorskip("distributed", reason="needs Dask")
    with pytest.raises(ConfigError, match="no Dask scheduler answers at 'nowhere'"):
        evaluate_all(bags[:1], tmp_path, OPTIONS, cluster="nowhere")


def test_results_go_into_no_bag(sample, tmp_path):
    people = list(read_skeletons(sample))[:5]
    bags = [write_bag(tmp_path / name, people) for name in ("a", "b")]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="which holds a bag"):
        evaluate_all(bags, tmp_path, OPTIONS)
    assert sorted(tmp_path.rglob("*")) == before
