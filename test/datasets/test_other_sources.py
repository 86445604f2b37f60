"""AMASS-style files and our own bags become sequences; one command writes any set as a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from small_files import write_asf_amc, write_chico, write_h36m
from typer.testing import CliRunner

from ses_gcn_ros.bags.messages import Observation
from ses_gcn_ros.bags.rosbag2 import BagWriter, write_skeletons
from ses_gcn_ros.commands.windows import dataset
from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.datasets.sources import read_dataset
from ses_gcn_ros.errors import BagError, ConfigError, InputError
from ses_gcn_ros.skeleton import Skeleton


def write_amass(path, frames=50, count=24, **changes):
    body = np.random.default_rng(0).normal(size=(frames, count, 3)).astype(np.float32)
    arrays = {"joints": body, "mocap_framerate": np.array(60.0)} | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return body


def test_joint_positions_of_amass_tools_are_read(tmp_path):
    body = write_amass(tmp_path / "KIT" / "3" / "walk.npz")
    (sequence,) = read_dataset(tmp_path).sequences
    assert (sequence.name, sequence.subject, sequence.tags) == ("KIT/3/walk", "3", {"KIT"})
    assert (sequence.fps, sequence.layout) == (60.0, "chico15")
    np.testing.assert_allclose(sequence.positions[:, 1], body[:, 2], atol=1e-6)  # right hip
    np.testing.assert_allclose(sequence.positions[:, 14], body[:, 20], atol=1e-6)  # left wrist
    assert len(read_dataset(tmp_path / "KIT" / "3" / "walk.npz").sequences[0]) == 50


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"joints": None, "poses": np.zeros((5, 156))},
            "parameters of a body model alone; run the",
        ),
        ({"joints": np.zeros((5, 17, 3))}, r"has shape \(5, 17, 3\); .* at least 22"),
        ({"joints": np.full((5, 22, 3), np.nan)}, "is not finite at frame 0"),
    ],
    ids=["parameters", "joints", "nan"],
)
def test_amass_files_without_positions_are_a_sentence(tmp_path, changes, sentence):
    write_amass(tmp_path / "KIT" / "walk.npz", **changes)
    (sequence,) = read_dataset(tmp_path, "amass").sequences
    with pytest.raises(InputError, match=sentence):
        len(sequence)


def test_amass_files_without_one_rate_are_a_sentence(tmp_path):
    write_amass(tmp_path / "KIT" / "walk.npz", mocap_framerate=np.array([60.0, 120.0]))
    with pytest.raises(InputError, match="does not give one frame rate"):
        read_dataset(tmp_path, "amass")


def write_bag(path, observations):
    writer = BagWriter(path)
    write_skeletons(writer, "/skeletons", observations)
    writer.close()
    return path


def walk(frames, rate=30.0, start=100.0):
    body = np.random.default_rng(0).normal(size=(15, 3))
    for frame in range(frames):
        moved = (body + np.array([frame / rate, 0, 0])).astype(np.float32)
        yield start + frame / rate, moved


def seen(stamp, body, person="anna"):
    sure = np.isfinite(body).all(axis=-1).astype(np.float32)
    return Observation(stamp, "map", [Skeleton(person, "chico15", body, sure)])


def test_people_of_a_bag_are_cut_where_they_were_out_of_sight(tmp_path):
    first = [seen(*at) for at in walk(61)]
    again = [seen(*at) for at in walk(31, start=104.0)]
    bag = write_bag(tmp_path / "bag", first + again)
    one, two = read_dataset(bag).sequences
    assert (one.name, two.name, one.subject, one.index, two.index) == (
        "anna/0",
        "anna/1",
        "anna",
        0,
        0,
    )
    assert (len(one), len(two)) == (51, 26)  # 25 Hz
    np.testing.assert_allclose(np.diff(one.positions[:, 0, 0]), 0.04, atol=1e-4)


def test_a_joint_that_is_hidden_hides_nobody_and_is_bridged_if_it_soon_comes_back(tmp_path):
    wrist, ankle = 11, 3
    frames = []
    for number, (stamp, body) in enumerate(walk(61)):
        if 10 <= number < 12:
            body[wrist] = np.nan
        if number >= 30:
            body[ankle] = np.nan
        frames.append(seen(stamp, body))
    (one,) = read_dataset(write_bag(tmp_path / "bag", frames)).sequences
    unseen = np.isnan(one.positions).any(axis=2)
    assert len(one) == 51
    assert not np.delete(unseen, ankle, axis=1).any()
    assert not unseen[:24, ankle].any()
    assert unseen[25:, ankle].all()  # 29 of 30 Hz are 24 of 25 Hz


def test_bags_without_people_are_a_sentence(tmp_path):
    nobody = write_bag(tmp_path / "bag", [Observation(1.0, "map", [])])
    with pytest.raises(InputError, match="nobody in"):
        read_dataset(nobody, "bag")
    with pytest.raises(BagError):
        read_dataset(write_chico(tmp_path / "chico", {"S00/lift": 3}), "bag")


app = typer.Typer()
app.command()(dataset)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_any_data_set_becomes_one_file(tmp_path):
    out = tmp_path / "out.npz"
    result = run(write_h36m(tmp_path / "h", {"S5/walking_1": 120}), "-o", out, "--json")
    assert json.loads(result.stdout)["layout"] == "h36m22"
    (stored,) = read_recording(out).sequences
    assert (stored.subject, stored.tags, len(stored)) == ("5", {"walking"}, 60)
    original = read_dataset(tmp_path / "h").sequences[0]
    np.testing.assert_array_equal(stored.positions, original.positions)

    chico = write_chico(tmp_path / "c", {"S02/lift": 40, "S03/lift": 40})
    result = run(chico, "-o", out, "--overwrite")
    assert "2 sequences, 0.1 min at 25 Hz, layout chico15" in result.stdout
    assert read_recording(out).sequences[0].stored.dtype == np.int16

    write_asf_amc(tmp_path / "a", {"02_01": 240})
    options = ("--kind", "asf_amc", "--fps", 12.5, "--overwrite")
    assert run(tmp_path / "a", "-o", out, *options).exit_code == 0
    recording = read_recording(out)
    assert recording.sequences[0].fps == 12.5
    assert "mocap.cs.cmu.edu" in recording.about["acknowledgement"]


def test_an_output_that_cannot_be_written_is_a_sentence_before_any_work(tmp_path):
    write_chico(tmp_path / "c", {"S02/lift": 40})
    result = run(tmp_path / "c", "-o", tmp_path / "absent" / "out.npz")
    assert "there is no folder" in str(result.exception)
    assert isinstance(result.exception, ConfigError)
    result = run(tmp_path / "c", "-o", tmp_path / "c")
    assert "choose another name" in str(result.exception)
    result = run(tmp_path / "c", "-o", tmp_path / "out.csv")
    assert "is written as .npz" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
