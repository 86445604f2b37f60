"""One moment of a replayed run as a picture, and all of it as a video, without RViz."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.replay.figures import THEMES, Theme, halo, headline, styled
from ses_gcn_ros.replay.recording import Replay
from ses_gcn_ros.safety import Level, LimbCapsules, SafetyConfig, limb_capsules
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]
Capsules = tuple[Array, Array, Array]  # starts (M, 3), ends (M, 3), radii (M,) [m]

TRAIL = 3.0  # s of the way that somebody came
HAND_REACH = SafetyConfig().hand_reach  # m beyond a wrist, as far as the layout shows no hand

Box = tuple[float, float, float, float]  # left, right, bottom and top [m]
Colour = str | tuple[float, ...]

BELOW = 0.3  # m under the floor, for the scale
_MARGIN = 0.3  # m around what is drawn
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 15)
_LEGS = ("knee", "ankle", "toe", "toe_base", "small_toe", "heel")


@dataclass(frozen=True, eq=False)
class Person:
    """A person at the moment."""

    layout: str
    positions: NDArray[np.float32]  # (J, 3): joints [m]; NaN where unseen
    limbs: LimbCapsules  # capsules around the limbs, hands included
    trail: NDArray[np.float32]  # (N, 3): middle of the body over the last `TRAIL` seconds [m]
    # (S, J, 3): where the joints are expected `steps` ahead [m]; NaN without a forecast
    ahead: NDArray[np.float32]
    steps: tuple[float, ...]  # how far ahead those are [s]

    @property
    def foreseen(self) -> bool:
        """Whether there is a forecast."""
        return bool(np.isfinite(self.ahead).any())


@dataclass(frozen=True, eq=False)
class ReplayScene:
    """What there was at one time; positions in the frame of the skeletons [m]."""

    at: float  # time since the first observation [s]
    people: list[Person]
    robot: Capsules | None  # of the robot's links, base first; None where unknown
    # the two nearest points on the surfaces of person and robot, (3,) each
    closest: tuple[Array, Array] | None
    distance: float  # their distance [m], as drawn
    level: str  # what the safety node said: CLEAR, REDUCED or STOP; empty if nothing
    reason: str  # its reasons


def moment_at(replay: Replay, at: float) -> ReplayScene:
    """Put together what a replay knows of a time `at` [s] after its first observation.

    Raises InputError if it shows nobody at any time.
    """
    if not len(replay.time):
        raise InputError(f"the run of '{replay.about.bag}' shows nobody; there is nothing to draw")
    frame = replay.frame_at(at)
    about, states = replay.about, replay.states
    closest, distance = closest_pair(replay, frame, at)
    said = int(np.searchsorted(states.time, at + 1e-6, side="right")) - 1
    return ReplayScene(
        at=at,
        people=_people(replay, frame),
        robot=_robot(replay, frame),
        closest=closest,
        distance=distance,
        level=Level(states.level[said]).name if said >= 0 else "",
        reason=about.frame_reasons[frame] if about.frame_reasons else "",
    )


def _robot(replay: Replay, frame: int) -> Capsules | None:
    ends = np.asarray(replay.robot[frame], np.float64)
    if not ends.size or not np.isfinite(ends).all():
        return None
    return ends[:, 0], ends[:, 1], np.asarray(replay.about.link_radii, np.float64)


def closest_pair(replay: Replay, frame: int, at: float) -> tuple[tuple[Array, Array] | None, float]:
    """The two nearest points on the surfaces of person and robot, (3,) each, and their distance.

    As the state nearest to a time [s] says, of those that knew the frame; where it does not say
    they are measured. None and infinity where nobody or no robot is known; all in metres.
    """
    states, robot = replay.states, _robot(replay, frame)
    if len(states.time):
        first = int(replay.answers[frame])
        last = int(replay.answers[min(frame + 1, len(replay.time) - 1)])
        near = first + int(np.abs(states.time[first : max(last, first + 1)] - at).argmin())
        points = np.asarray([states.human_point[near], states.robot_point[near]], np.float64)
        if np.isfinite(points).all():
            return (points[0], points[1]), float(states.separation[near])
    people = np.asarray(replay.positions[replay.people_of(frame)], np.float64)
    if robot is None or not len(people):
        return None, np.inf
    limbs = limb_capsules(people, replay.about.layout, hand_reach=HAND_REACH)
    pair = limbs.to_links(*robot).nearest()
    if not np.isfinite(pair.distance):
        return None, np.inf
    return (pair.a_point, pair.b_point), float(pair.distance)


def _people(replay: Replay, frame: int) -> list[Person]:
    about = replay.about
    first = replay.frame_at(float(replay.time[frame]) - TRAIL)
    recent = slice(int(replay.rows[first]), int(replay.rows[frame + 1]))
    found = []
    for row in range(*replay.people_of(frame).indices(len(replay.person))):
        positions = np.asarray(replay.positions[row])
        if np.isnan(positions).all():
            continue
        same = np.asarray(replay.person[recent]) == replay.person[row]
        came = np.asarray(replay.positions[recent])[same]
        found.append(
            Person(
                layout=about.layout,
                positions=positions,
                limbs=limb_capsules(positions.astype(float), about.layout, hand_reach=HAND_REACH),
                trail=np.nanmean(came[np.isfinite(came).any(axis=(1, 2))], axis=1),
                ahead=np.asarray(replay.forecast[row]),
                steps=about.steps,
            )
        )
    return found


@dataclass(frozen=True)
class SceneView:
    """A direction to look from: rows of `axes` are right, up and towards the eye."""

    name: str
    axes: Array
    from_above: bool

    def project(self, points: NDArray[np.floating]) -> Array:
        """Points (..., 3) as right, up and nearness [m]."""
        return np.asarray(points @ self.axes.T, dtype=np.float64)


@dataclass(frozen=True)
class Stage:
    """Two views and what each of them shows, in the same scale and of the same height."""

    views: tuple[SceneView, SceneView]
    boxes: tuple[Box, Box]


def stage_for(moments: Sequence[ReplayScene], reach: float = np.inf) -> Stage:
    """Make a stage that has room for moments.

    The side view looks across the line from the robot to whoever comes nearest.

    `reach`: distance from the robot's base beyond which people need not be seen [m].
    """
    x, y = _line_of_sight(min(moments, key=lambda moment: moment.distance))
    views = (
        SceneView("from above", np.eye(3), from_above=True),
        SceneView("from the side", np.array([[x, y, 0], [0, 0, 1], [y, -x, 0]]), from_above=False),
    )
    points = np.concatenate([_points(moment, reach) for moment in moments])
    above, side = (_extent(points, view) for view in views)
    height = max(top - bottom for _, _, bottom, top in (above, side))
    return Stage(
        views, (_heighten(above, height, share_below=0.5), _heighten(side, height, share_below=0.0))
    )


def _nearest_person(moment: ReplayScene) -> Person | None:
    """Whose body is nearest to the robot's base; None where one is missing."""
    if moment.robot is None:
        return None
    base = moment.robot[0][0, :2]
    return min(
        moment.people,
        key=lambda person: float(np.linalg.norm(_middle(person) - base)),
        default=None,
    )


def _middle(person: Person) -> Array:
    return np.asarray(np.nanmean(person.positions[:, :2], axis=0), np.float64)


def _line_of_sight(moment: ReplayScene) -> Array:
    """Horizontal unit vector from the robot to the nearest person; x where one is missing."""
    nearest = _nearest_person(moment)
    if moment.robot is None or nearest is None:
        return np.array([1.0, 0.0])
    offset = _middle(nearest) - moment.robot[0][0, :2]
    length = float(np.hypot(*offset))
    return np.asarray(offset / length if length > 0.05 else [1.0, 0.0])


def _points(moment: ReplayScene, reach: float) -> Array:
    """What has to be seen of a moment, shape (N, 3) [m]; the origin always."""
    clouds: list[NDArray[np.floating]] = []
    for person in moment.people:
        clouds += [person.positions, person.ahead.reshape(-1, 3)]
    points = np.concatenate([np.zeros((1, 3)), *clouds])
    if moment.robot is not None:
        base = moment.robot[0][0, :2]
        away = np.linalg.norm(points[:, :2] - base, axis=1)
        nearest = _nearest_person(moment)  # is seen whole, if any of them is
        whole = []
        if nearest is not None and (away <= reach).any():
            limbs = nearest.limbs
            whole = [nearest.positions, limbs.start, limbs.end]
        points = np.concatenate([points[~(away > reach)], *whole, *moment.robot[:2]])
    return points[np.isfinite(points).all(axis=1)]


def _extent(points: Array, view: SceneView) -> Box:
    seen = view.project(points)
    low, high = seen.min(axis=0) - _MARGIN, seen.max(axis=0) + _MARGIN
    bottom = float(low[1]) if view.from_above else -BELOW
    return float(low[0]), float(high[0]), bottom, float(high[1])


def _heighten(box: Box, height: float, share_below: float) -> Box:
    left, right, bottom, top = box
    more = height - (top - bottom)
    return left, right, bottom - share_below * more, top + (1 - share_below) * more


def scene_figure(
    moment: ReplayScene, theme: Theme, title: str, stage: Stage | None = None
) -> Figure:
    """Draw a moment from above and from the side, in one scale.

    `title`: what makes the moment worth a picture.
    `stage`: what both views show; by default what this moment needs.
    """
    stage = stage or stage_for([moment])
    widths = [right - left for left, right, _, _ in stage.boxes]
    _, _, bottom, top = stage.boxes[0]
    height = top - bottom
    page, head = 10.0, 0.72  # inches
    scale = (page - 0.35) / (sum(widths) + 0.12)
    with styled(theme):
        figure = Figure(figsize=(page, height * scale + head + 0.1))
        left = 0.15
        for view, box, width in zip(stage.views, stage.boxes, widths, strict=True):
            wide, high = figure.get_size_inches()
            inches = width * scale, height * scale
            axes = figure.add_axes((left / wide, 0.1 / high, inches[0] / wide, inches[1] / high))
            _draw(axes, moment, view, box, theme)
            left += (width + 0.12) * scale
        rest = "  ·  ".join(part for part in (f"{moment.at:.2f} s", moment.reason) if part)
        headline(figure, theme, title, rest, moment.level)
    return figure


def _draw(axes: Axes, moment: ReplayScene, view: SceneView, box: Box, theme: Theme) -> None:
    axes.set(xlim=box[:2], ylim=box[2:], xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    _ground(axes, box, theme, view)
    if moment.robot is not None and not view.from_above:
        _stand(axes, moment.robot, view, theme)
    for person in moment.people:
        if view.from_above:
            trail = view.project(person.trail)
            axes.plot(*trail[:, :2].T, color=theme.quiet, lw=1.0, ls=(0, (1, 2.5)), zorder=1)
        limbs = person.limbs
        shape = (limbs.start, limbs.end, limbs.radius)
        _capsules(axes, shape, view, theme.person_fill, theme.person_fill, zorder=2)
        _ghosts(axes, person, view, theme)
        _bones(axes, person.positions, person.layout, view, theme.person, 2.4, zorder=4.5)
    if moment.robot is not None:
        _capsules(axes, moment.robot, view, theme.robot_fill, theme.robot, zorder=5)
    _nearest_pair(axes, moment, view, theme)
    _labels(axes, moment, view, theme)
    axes.text(
        0.0, 1.0, view.name, transform=axes.transAxes, va="top", color=theme.quiet,
        path_effects=halo(theme), zorder=8,
    )  # fmt: skip


def _ground(axes: Axes, box: Box, theme: Theme, view: SceneView) -> None:
    """Half-metre grid or floor, and a scale of one metre."""
    left, right, bottom, top = box
    if view.from_above:
        axes.vlines(np.arange(np.ceil(left * 2) / 2, right, 0.5), bottom, top, theme.grid, lw=0.6)
        axes.hlines(np.arange(np.ceil(bottom * 2) / 2, top, 0.5), left, right, theme.grid, lw=0.6)
        return
    axes.plot([left, right], [0, 0], color=theme.quiet, lw=0.8, zorder=0)
    y = -0.6 * BELOW
    axes.plot([right - 1.0, right], [y, y], color=theme.ink, lw=1.4, solid_capstyle="butt")
    axes.text(right - 1.06, y, "1 m", ha="right", va="center", size=8.5)


def _stand(axes: Axes, robot: Capsules, view: SceneView, theme: Theme) -> None:
    """A post under the robot's base, whatever it really stands on."""
    base, radius = view.project(robot[0][0]), float(robot[2][0])
    post = Rectangle((base[0] - radius, 0), 2 * radius, max(base[1], 0), color=theme.grid, zorder=1)
    axes.add_patch(post)


def _ghosts(axes: Axes, person: Person, view: SceneView, theme: Theme) -> None:
    """Skeletons of the forecast, paler with the time ahead."""
    steps = len(person.steps)
    for step in range(steps - 1, -1, -1):
        share = (step + 1) / steps
        colour = _mix(theme.forecast, theme.paper, 0.1 + 0.5 * share)
        _bones(axes, person.ahead[step], person.layout, view, colour, 1.4, zorder=4 - 0.9 * share)


def _bones(
    axes: Axes,
    positions: NDArray[np.float32],
    layout_name: str,
    view: SceneView,
    colour: Colour,
    width: float,
    zorder: float,
) -> None:
    """Limbs as lines; from above the legs are left out, they lie under the body."""
    layout = get_layout(layout_name)
    points = view.project(positions)[:, :2]
    lines = [
        points[[a, b]]
        for a, b in layout.limbs
        if np.isfinite(points[[a, b]]).all()
        and not (view.from_above and _of_leg(layout.canonical[b]))
    ]
    axes.add_collection(
        LineCollection(lines, colors=[colour], linewidths=width, capstyle="round", zorder=zorder)
    )


def _of_leg(joint: str) -> bool:
    return joint.split("_", 1)[-1] in _LEGS


def _capsules(
    axes: Axes, capsules: Capsules, view: SceneView, fill: str, edge: str, zorder: float
) -> None:
    """Outlines of capsules, the farther ones first."""
    start, end, radius = capsules
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    a, b, r = view.project(start[known]), view.project(end[known]), radius[known]
    order = np.argsort(a[:, 2] + b[:, 2])
    outlines = [stadium(a[i, :2], b[i, :2], float(r[i])) for i in order]
    axes.add_collection(
        PolyCollection(outlines, facecolors=fill, edgecolors=edge, linewidths=0.7, zorder=zorder)
    )


def stadium(a: Array, b: Array, radius: float) -> Array:
    """Outline (30, 2) of a capsule between `a` and `b`, shape (2,), seen from one side."""
    heading = np.arctan2(*(b - a)[::-1])
    cap = radius * np.stack([np.cos(heading + _ARC), np.sin(heading + _ARC)], axis=1)
    return np.concatenate([b + cap, a - cap])


def _nearest_pair(axes: Axes, moment: ReplayScene, view: SceneView, theme: Theme) -> None:
    if moment.closest is None:
        return
    line = view.project(np.stack(moment.closest))[:, :2]
    axes.plot(*line.T, color=theme.alarm, lw=1.8, marker="o", ms=3.5, zorder=6)
    along = line[1] - line[0]
    across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
    at = line.mean(axis=0) + 0.13 * across * (1 if across[1] >= 0 else -1)
    text = f"{moment.distance:.2f} m"
    _label(axes, at, text, theme.alarm, theme, weight="bold", size=11)


def _labels(axes: Axes, moment: ReplayScene, view: SceneView, theme: Theme) -> None:
    if moment.robot is not None:
        points = view.project(np.concatenate(moment.robot[:2]))
        at = points[0, 0], points[:, 1].min() - 0.2
        if not view.from_above:
            at = points[:, 0].mean(), points[:, 1].max() + 0.2
        _label(axes, at, "robot", theme.robot, theme)
    for person in moment.people:
        points = view.project(person.positions)
        middle, high = np.nanmean(points, axis=0), np.nanmax(points, axis=0)
        at = (middle[0], np.nanmin(points[:, 1]) - 0.3) if view.from_above else (
            points[np.nanargmax(points[:, 1]), 0], high[1] + 0.2
        )  # fmt: skip
        _label(axes, at, "now", theme.person, theme)
        if person.foreseen:
            _label_horizon(axes, person, view, theme)


def _label_horizon(axes: Axes, person: Person, view: SceneView, theme: Theme) -> None:
    """Say at the joint that is to move most how far ahead the palest skeleton is."""
    now, ahead = view.project(person.positions)[:, :2], view.project(person.ahead[-1])[:, :2]
    way = np.nan_to_num(np.linalg.norm(ahead - now, axis=1))
    if view.from_above:
        way[[_of_leg(joint) for joint in get_layout(person.layout).canonical]] = 0
    joint = int(way.argmax())
    if way[joint] > 0.3:
        at = ahead[joint] + 0.13 * (ahead[joint] - now[joint]) / way[joint]
        text = f"in {person.steps[-1]:.1f} s"
        _label(axes, at, text, theme.forecast, theme)


def _label(
    axes: Axes,
    at: tuple[float, float] | Array,
    text: str,
    colour: Colour,
    theme: Theme,
    **font: Any,
) -> None:
    x, y = at
    axes.text(
        float(x), float(y), text, ha="center", va="center", color=colour, zorder=7,
        path_effects=halo(theme), clip_on=True, **font,
    )  # fmt: skip


def _mix(colour: str, other: str, share: float) -> tuple[float, ...]:
    a, b = np.array(to_rgb(colour)), np.array(to_rgb(other))
    return tuple((1 - share) * a + share * b)


# Film -------------------------------------------------------------------------------------------

Image = NDArray[np.uint8]  # (height, width, 3)

FORMATS = (".mp4", ".gif", ".png")
_REACH = 2.5  # m from the robot; people beyond it may leave the picture
_SAMPLES = 1500  # pictures that the frame of all is laid around, at most twice as many
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
    """Draw a run into a file, which appears when it is whole; gives the number of pictures.

    Raises ConfigError if the file's name or the cut can't be used.

    `out`: mp4 (H.264), gif, or png for a picture of `cut.first`.
    `progress`: told how many pictures of how many are drawn.
    """
    check_format(out)
    length = replay.about.duration
    if not 0 <= cut.first <= cut.last <= length + 1e-6:
        raise ConfigError(
            f"from {cut.first:g} to {cut.last:g} s can't be rendered; the run lasts {length:.2f} s"
        )
    still = out.suffix == ".png"
    times = np.array([cut.first]) if still else cut.times()
    shown = times[:: max(1, len(times) // _SAMPLES)].tolist()
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
        figure = scene_figure(
            moment, THEMES[cut.theme], _TITLES.get(moment.level, "No state"), stage
        )
        yield _pixels(figure, cut.width)
        progress(index + 1, len(times))


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
