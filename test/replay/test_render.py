"""A run is drawn without RViz: as a picture, an animation, a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.replay.recording import Replay, open_replay
from ses_gcn_ros.replay.scene import Cut, moment_at, render, stage_for


@pytest.fixture(scope="module")
def replay(run_report: Path) -> Replay:
    return open_replay(run_report / "replay")


def test_a_picture_shows_the_worst_moment(run_report, replay, tmp_path):
    out = tmp_path / "worst.png"
    result = CliRunner().invoke(app, ["render", str(run_report), "-o", str(out), "--width", "800"])
    assert result.exit_code == 0, result.output
    states = replay.states
    worst = states.time[np.nanargmin(np.where(states.time >= 0, states.separation, np.nan))]
    render(replay, tmp_path / "same.png", Cut(float(worst), float(worst), width=800))
    assert out.read_bytes() == (tmp_path / "same.png").read_bytes()
    assert Image.open(out).width == 800


def test_an_animation_has_its_pictures_at_its_pace(replay, tmp_path):
    told = []
    cut = Cut(1.0, 1.5, fps=10, speed=2.0, width=400)
    count = render(replay, tmp_path / "run.gif", cut, lambda done, of: told.append((done, of)))
    assert count == 3  # at 1.0, 1.2 and 1.4 s
    assert told == [(1, 3), (2, 3), (3, 3)]
    with Image.open(tmp_path / "run.gif") as animation:
        assert (animation.n_frames, animation.info["duration"]) == (3, 100)
        animation.seek(2)
        last = np.asarray(animation.convert("RGB"))
        animation.seek(0)
        assert (np.asarray(animation.convert("RGB")) != last).any()


def test_a_video_is_played_everywhere(replay, tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    render(replay, tmp_path / "run.mp4", Cut(1.0, 1.2, fps=10, width=401, theme="dark"))
    with av.open(str(tmp_path / "run.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert len(frames) == 3
    assert frames[0].shape[1] == 400  # an even number, as the format wants it
    assert frames[0].mean() < 80  # light on dark


def test_what_can_not_be_drawn_is_refused_and_leaves_nothing(replay, tmp_path):
    with pytest.raises(ConfigError, match=r"'\.webm'; name it \.mp4 or \.gif or \.png"):
        render(replay, tmp_path / "run.webm", Cut(0.0, 1.0))
    with pytest.raises(ConfigError, match=r"the run lasts 4\.48 s"):
        render(replay, tmp_path / "run.gif", Cut(3.0, 40.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", [0.5, 2.0, 4.0])
def test_whoever_is_nearest_is_seen_whole(replay, at):
    moments = [moment_at(replay, t) for t in np.arange(0.0, at, 0.1)]
    stage = stage_for(moments, reach=2.5)
    base = next(m.robot[0][0, :2] for m in moments if m.robot is not None)
    for moment in moments:
        away = [np.nanmin(np.linalg.norm(p.positions[:, :2] - base, axis=1)) for p in moment.people]
        if not away or min(away) > 2.5:
            continue
        limbs = moment.people[int(np.argmin(away))].limbs
        for view, (left, right, bottom, top) in zip(stage.views, stage.boxes, strict=True):
            seen = view.project(np.concatenate([limbs.start, limbs.end]))
            seen = seen[np.isfinite(seen).all(axis=1)]
            reach = limbs.radius[np.isfinite(limbs.start).all(axis=1)].min()
            assert (seen[:, 0] - reach >= left).all()
            assert (seen[:, 0] + reach <= right).all()
            assert (seen[:, 1] + reach <= top).all()
            assert (seen[:, 1] - reach >= bottom).all()
