"""A run as a video, an animation or a picture, without RViz."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.replay.figures import THEMES
from ses_gcn_ros.replay.recording import Replay
from ses_gcn_ros.replay.scene import ReplayScene, Stage, moment_at, scene_figure, stage_for

Image = NDArray[np.uint8]  # (height, width, 3)

FORMATS = (".mp4", ".gif", ".png")
_REACH = 2.5  # m from the robot; people beyond it may leave the picture
_SAMPLES = 120  # moments that the picture's frame is laid around
_TITLES = {"STOP": "The robot is stopped", "REDUCED": "The robot is slowed", "CLEAR": "Clear"}


@dataclass(frozen=True)
class Cut:
    """What of a run is rendered, and how."""

    # times since the first observation [s]; a picture shows `first`
    first: float
    last: float
    fps: float = 25.0  # pictures per second of the video [Hz]
    speed: float = 1.0  # recorded seconds per second of the video
    width: int = 1280  # of the picture [px]
    theme: str = "light"  # "light" or "dark"

    def times(self) -> NDArray[np.float64]:
        """Time of each picture [s]."""
        count = int((self.last - self.first) / self.speed * self.fps + 1e-6) + 1
        return np.asarray(self.first + np.arange(count) * self.speed / self.fps)


def check_format(out: Path) -> None:
    """Make sure that a file's name says what it is to be.

    Raises ConfigError if it is no video, animation or picture.
    """
    if out.suffix not in FORMATS:
        raise ConfigError(
            f"'{out}' can't be drawn as '{out.suffix}'; name it {' or '.join(FORMATS)}"
        )


def render(
    replay: Replay, out: Path, cut: Cut, progress: Callable[[int, int], None] = lambda *_: None
) -> int:
    """Draw a run into a file, which appears when it is whole.

    Parameters
    ----------
    out : Path
        mp4 (H.264), gif, or png for a picture of `cut.first`.
    progress : callable
        Told how many pictures of how many are drawn.

    Returns
    -------
    int
        Number of pictures.

    Raises
    ------
    ConfigError
        If the file's name or the cut can't be used.
    """
    check_format(out)
    length = replay.about.duration
    if not 0 <= cut.first <= cut.last <= length + 1e-6:
        raise ConfigError(
            f"from {cut.first:g} to {cut.last:g} s can't be rendered; the run lasts {length:.2f} s"
        )
    still = out.suffix == ".png"
    times = np.array([cut.first]) if still else cut.times()
    shown = [cut.first] if still else np.linspace(cut.first, cut.last, _SAMPLES).tolist()
    stage = stage_for([moment_at(replay, at) for at in shown], _REACH)
    images = _images(replay, times, stage, cut, progress)
    temporary = out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        _WRITERS[out.suffix](temporary, images, cut.fps)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return len(times)


def _images(
    replay: Replay,
    times: NDArray[np.float64],
    stage: Stage,
    cut: Cut,
    progress: Callable[[int, int], None],
) -> Iterator[Image]:
    for index, at in enumerate(times.tolist()):
        moment = moment_at(replay, at)
        figure = scene_figure(moment, THEMES[cut.theme], _title(moment), stage)
        yield _pixels(figure, cut.width)
        progress(index + 1, len(times))


def _title(moment: ReplayScene) -> str:
    return _TITLES.get(moment.level, "No state")


def _pixels(figure: Figure, width: int) -> Image:
    """Pixels of a figure, an even number each way, as video wants them."""
    figure.set_dpi(width / figure.get_figwidth())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    height, wide = (size - size % 2 for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :wide])


def _write_video(path: Path, images: Iterator[Image], fps: float) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = None
        for image in images:
            if stream is None:
                stream = container.add_stream("libx264", rate=round(fps))
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "20", "preset": "medium"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def _write_animation(path: Path, images: Iterator[Image], fps: float) -> None:
    from PIL import Image as Picture

    first, *rest = (Picture.fromarray(image) for image in images)
    palette = first.quantize(128, Picture.Quantize.MEDIANCUT, dither=Picture.Dither.NONE)
    frames = [p.quantize(palette=palette, dither=Picture.Dither.NONE) for p in (first, *rest)]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0
    )


def _write_picture(path: Path, images: Iterator[Image], fps: float) -> None:
    from PIL import Image as Picture

    Picture.fromarray(next(images)).save(path)


_WRITERS: dict[str, Callable[[Path, Iterator[Image], float], None]] = {
    ".mp4": _write_video,
    ".gif": _write_animation,
    ".png": _write_picture,
}
