"""Real videos with covers, cuts, blur and speed put over them, and the names that their people get.

Says of every variant of a video how many names it has, how many of them are of people (others are
of what a detector took for one), how many were given to two people, and in how many pictures two
skeletons lie on one body:

    python test/pose/covers.py ../shared/data/media/one_person.mp4 ../shared/data/media/exercise.avi
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ses_gcn_ros.pose.camera import Camera, camera_from_view, homogeneous
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks, PoseLandmarker
from ses_gcn_ros.pose.sources import Frame, VideoFile

# Where people stand in the pictures that they are in, across and down, as shares of the picture.
PEOPLE = {
    "one_person.mp4": [(0.43, 0.12, 0.60, 0.98)],
    "exercise.avi": [(0.45, 0.42, 0.56, 0.87), (0.20, 0.42, 0.31, 0.79), (0.64, 0.42, 0.75, 0.79)],
}
DARK = 20  # of a cover
TRUNK = [11, 12, 23, 24]
BESIDE = 0.1  # of the picture's width, from the middle of where somebody stands
SAME_BODY = 0.5  # of a trunk's length, between trunks on one body
Box = tuple[float, float, float, float]
Variant = Callable[[list[Frame], Box], list[Frame]]


def each(change: Callable[[int, Frame, Box], np.ndarray]) -> Variant:
    """A variant that changes picture after picture; boxes are in pixels."""

    def apply(frames: list[Frame], box: Box) -> list[Frame]:
        height, width = frames[0].rgb.shape[:2]
        pixels = box[0] * width, box[1] * height, box[2] * width, box[3] * height
        return [Frame(f.stamp, change(i, f, pixels)) for i, f in enumerate(frames)]

    return apply


def cover(rgb: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The picture with a dark rectangle."""
    left, top, right, bottom = (max(0, round(edge)) for edge in (left, top, right, bottom))
    covered = rgb.copy()
    covered[top:bottom, left:right] = DARK
    return covered


def standing(share: float, at: float = 0.5) -> Variant:
    """A bar before the body, of a share of the body's width, at a share of it."""

    def change(_: int, frame: Frame, box: Box) -> np.ndarray:
        wide = box[2] - box[0]
        middle = box[0] + at * wide
        return cover(frame.rgb, middle - share * wide / 2, 0, middle + share * wide / 2, 1e4)

    return each(change)


def passing(share: float, seconds: float, count: int = 1) -> Variant:
    """Bars of a share of the body's width that pass over the picture in so many seconds."""

    def change(_: int, frame: Frame, box: Box) -> np.ndarray:
        wide, across = share * (box[2] - box[0]), frame.rgb.shape[1]
        rgb = frame.rgb
        for bar in range(count):
            left = ((frame.stamp / seconds + bar / count) % 1.0) * (across + wide) - wide
            rgb = cover(rgb, left, 0, left + wide, 1e4)
        return rgb

    return each(change)


def hidden(seconds: float) -> Variant:
    """The body wholly covered for so long, from a third of the video on."""

    def apply(frames: list[Frame], box: Box) -> list[Frame]:
        begin = frames[len(frames) // 3].stamp
        hide = each(lambda _, f, b: cover(f.rgb, b[0] - 30, 0, b[2] + 30, 1e4))(frames, box)
        return [
            h if begin <= f.stamp < begin + seconds else f
            for f, h in zip(frames, hide, strict=True)
        ]

    return apply


def warped(matrix: Callable[[int, Frame, Box], list[list[float]]], blur: int = 1) -> Variant:
    """Pictures shifted or scaled by an affine map and smeared across so many pixels."""

    def change(i: int, frame: Frame, box: Box) -> np.ndarray:
        size = frame.rgb.shape[1::-1]
        moved = cv2.warpAffine(
            frame.rgb, np.float32(matrix(i, frame, box)), size, borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.blur(moved, (blur, 1))

    return each(change)


def zoom(i: int, frame: Frame, box: Box) -> list[list[float]]:
    """Towards the body and back, as somebody comes nearer."""
    scale = 1.0 + 0.8 * abs(frame.stamp / 4.0 % 2.0 - 1.0)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return [[scale, 0, (1 - scale) * x], [0, scale, (1 - scale) * y]]


def half(frame: Frame) -> Frame:
    height, width = frame.rgb.shape[:2]
    small = cv2.resize(frame.rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return Frame(frame.stamp, np.asarray(small))


def mirrored(frame: Frame) -> Frame:
    return Frame(frame.stamp, np.ascontiguousarray(frame.rgb[:, ::-1]))


def on_side(frame: Frame) -> Frame:
    """As a telephone films that is held upright and doesn't say so."""
    return Frame(frame.stamp, np.ascontiguousarray(np.rot90(frame.rgb)))


def faded(i: int, frame: Frame, _: Box) -> np.ndarray:
    """A quarter of the light, and noise."""
    noise = np.random.default_rng(i).normal(0.0, 10.0, frame.rgb.shape)
    return (0.25 * frame.rgb + noise).clip(0, 255).astype(np.uint8)


def without(begin: float, seconds: float) -> Variant:
    """A cut: so many seconds are missing, but not in the stamps."""

    def apply(frames: list[Frame], _: Box) -> list[Frame]:
        kept = [f for f in frames if not begin <= f.stamp < begin + seconds]
        return [Frame(f.stamp, k.rgb) for f, k in zip(frames, kept, strict=False)]

    return apply


def smeared(frames: list[Frame], _: Box) -> list[Frame]:
    """Pictures of a camera that is carried: each the mean of five, shifted by a shaking hand."""
    rng = np.random.default_rng(0)
    size = frames[0].rgb.shape[1::-1]
    smeared = []
    for i, frame in enumerate(frames):
        around = [frames[min(max(i + k, 0), len(frames) - 1)].rgb for k in (-2, -1, 0, 1, 2)]
        shifts = np.cumsum(rng.normal(0.0, 4.0, (5, 2)), axis=0)
        moved = [
            cv2.warpAffine(
                rgb, np.float32([[1, 0, x], [0, 1, y]]), size, borderMode=cv2.BORDER_REPLICATE
            ).astype(np.float32)
            for rgb, (x, y) in zip(around, shifts, strict=True)
        ]
        smeared.append(Frame(frame.stamp, np.mean(moved, axis=0).astype(np.uint8)))
    return smeared


def slowed(rate: float) -> Variant:
    """So many pictures a second."""

    def apply(frames: list[Frame], _: Box) -> list[Frame]:
        due = np.arange(frames[0].stamp, frames[-1].stamp, 1.0 / rate)
        stamps = [frame.stamp for frame in frames]
        return [frames[i] for i in np.unique(np.searchsorted(stamps, due - 1e-6))]

    return apply


def squeezed(_: int, frame: Frame, __: Box) -> np.ndarray:
    """JPEG of quality 20."""
    return cv2.imdecode(cv2.imencode(".jpg", frame.rgb, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], 1)


def flickering(i: int, frame: Frame, _: Box) -> np.ndarray:
    """Every other picture has a third of the light, in bands that wander as lamps make them."""
    rows = np.arange(len(frame.rgb))[:, None, None] / len(frame.rgb)
    band = 1.0 + 0.3 * np.sin(2.0 * np.pi * (2.0 * rows + 0.37 * i))
    return (frame.rgb * band * (0.33 if i % 2 else 1.0)).clip(0, 255).astype(np.uint8)


def upright(frames: list[Frame], box: Box) -> list[Frame]:
    """A telephone held upright: a part around the body, 9 to 16."""
    height, width = frames[0].rgb.shape[:2]
    wide = height * 9 // 16
    left = min(max(round(width * (box[0] + box[2]) / 2) - wide // 2, 0), width - wide)
    part = np.s_[:, left : left + wide]
    return [Frame(f.stamp, np.ascontiguousarray(f.rgb[part])) for f in frames]


def entering(i: int, frame: Frame, box: Box) -> list[list[float]]:
    """Half of the body is beyond the edge for two seconds, then it comes in within another."""
    out = min(1.0, max(0.0, 3.0 - frame.stamp))
    return [[1, 0, -out * (box[0] + box[2]) / 2], [0, 1, 0]]


def beside(frames: list[Frame], box: Box) -> list[Frame]:
    """Two people: the part around the body, and beside it the same mirrored."""
    width = frames[0].rgb.shape[1]
    left = round(width * min(max((box[0] + box[2]) / 2 - 0.25, 0.0), 0.5))
    parts = [f.rgb[:, left : left + width // 2] for f in frames]
    return [Frame(f.stamp, np.hstack((p, p[:, ::-1]))) for f, p in zip(frames, parts, strict=True)]


def crossing(_: int, frame: Frame, box: Box) -> np.ndarray:
    """A second person, the body mirrored, passes before the first from the right to the left."""
    wide, width = round(box[2] - box[0]), frame.rgb.shape[1]
    body = frame.rgb[:, round(box[0]) : round(box[0]) + wide][:, ::-1]
    left = round((width - wide) * (1.0 - min(1.0, frame.stamp / 5.0)))
    rgb = frame.rgb.copy()
    rgb[:, left : left + wide] = body
    return rgb


# Lenses of 100 degrees: one spreads pixels evenly over the angle, the other over a plane.
FISHEYE = Camera(640, 360, 366.7, 366.7, 320.0, 180.0, (0.02, -0.01, 0.0, 0.0), "equidistant")
FLAT = camera_from_view(640, 360, 100.0)


def bulging(_: int, frame: Frame, __: Box) -> np.ndarray:
    """What `FISHEYE` shows where `FLAT` would have shown the picture."""
    pixels = np.stack(np.meshgrid(np.arange(640) + 0.5, np.arange(360) + 0.5), -1)
    flat = FLAT.project(homogeneous(FISHEYE.normalise(pixels))).astype(np.float32) - 0.5
    rgb = cv2.resize(frame.rgb, (640, 360))
    return cv2.remap(rgb, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR)


def flashed(_: int, frame: Frame, __: Box) -> np.ndarray:
    """Light that goes up by two and a half and down to a third, and the camera's gain after it."""
    phase = frame.stamp % 2.0
    gain = 2.5 if 0.5 <= phase < 0.9 else 0.33 if 1.3 <= phase < 1.7 else 1.0
    return (gain * frame.rgb.astype(np.float32)).clip(0, 255).astype(np.uint8)


def near(_: int, frame: Frame, box: Box) -> list[list[float]]:
    """So near that only head and trunk are in the picture."""
    height = frame.rgb.shape[0]
    scale = height / (0.5 * (box[3] - box[1]))
    x = (box[0] + box[2]) / 2
    return [[scale, 0, frame.rgb.shape[1] / 2 - scale * x], [0, scale, -scale * (box[1] - 5)]]


def far(_: int, frame: Frame, box: Box) -> list[list[float]]:
    """A body of 80 px that goes to and fro about the middle of the picture."""
    scale = 80.0 / (box[3] - box[1])
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    to_and_fro = 100.0 * np.sin(0.7 * frame.stamp)  # as fast as people walk, 70 px/s
    middle = frame.rgb.shape[1] / 2 + to_and_fro, frame.rgb.shape[0] / 2
    return [[scale, 0, middle[0] - scale * x], [0, scale, middle[1] - scale * y]]


def away(seconds: float) -> Variant:
    """The body leaves: so many seconds of it covered are put into the middle of the video."""

    def apply(frames: list[Frame], box: Box) -> list[Frame]:
        hide = each(lambda _, f, b: cover(f.rgb, b[0] - 30, 0, b[2] + 30, 1e4))
        middle = len(frames) // 2
        [gone] = hide([frames[middle]], box)
        begin, step = gone.stamp, 0.1
        between = [Frame(begin + k * step, gone.rgb) for k in range(1, round(seconds / step))]
        return (
            frames[:middle] + between + [Frame(f.stamp + seconds, f.rgb) for f in frames[middle:]]
        )

    return apply


VARIANTS: dict[str, Variant] = {
    "as it is": lambda frames, _: frames,
    "mirrored": lambda frames, _: [mirrored(frame) for frame in frames],
    "half the resolution": lambda frames, _: [half(frame) for frame in frames],
    "twice as fast": lambda frames, _: [Frame(f.stamp / 2, f.rgb) for f in frames],
    "every third picture": lambda frames, _: frames[::3],
    "dark": each(faded),
    "shaken and blurred": warped(
        lambda i, *_: [[1, 0, 14 * np.sin(0.9 * i)], [0, 1, 8 * np.cos(0.7 * i)]], 9
    ),
    "panned": warped(lambda i, f, _: [[1, 0, 0.25 * f.rgb.shape[1] * np.sin(0.08 * i)], [0, 1, 0]]),
    "zoomed": warped(zoom),
    "carried and smeared": smeared,
    "10 pictures a second": slowed(10.0),
    "5 pictures a second": slowed(5.0),
    "hard JPEG": each(squeezed),
    "low light": each(lambda _, f, __: (255 * (f.rgb / 255.0) ** 2.5).astype(np.uint8)),
    "lamps that flicker": each(flickering),
    "upright": upright,
    "fish-eye": each(bulging),
    "enters from the edge": warped(entering),
    "two side by side": beside,
    "two who cross": each(crossing),
    "lights that jump": each(flashed),
    "head and trunk alone": warped(near),
    "80 px tall": warped(far),
    "away for 3 s": away(3.0),
    "away for 19 s": away(19.0),
    "on its side": lambda frames, _: [on_side(frame) for frame in frames],
    "bar of 1/5": standing(0.2),
    "bar of 1/3": standing(0.33),
    "bar of 1/2": standing(0.5),
    "bar before a side": standing(0.5, 0.25),
    "bar that passes": passing(0.3, 5.0),
    "body-wide bar that passes": passing(1.0, 5.0),
    "two bars that pass slowly": passing(1.0, 12.0, 2),
    "wide bar that passes": passing(2.0, 6.0),
    "counter": each(lambda _, f, b: cover(f.rgb, 0, b[1] + 0.6 * (b[3] - b[1]), 1e4, 1e4)),
    "high counter": each(lambda _, f, b: cover(f.rgb, 0, b[1] + 0.4 * (b[3] - b[1]), 1e4, 1e4)),
    "lintel": each(lambda _, f, b: cover(f.rgb, 0, 0, 1e4, b[1] + 0.25 * (b[3] - b[1]))),
    "hidden for 0.5 s": hidden(0.5),
    "hidden for 1.5 s": hidden(1.5),
    "hidden for 3 s": hidden(3.0),
    "black every second": each(lambda i, f, _: f.rgb * (i % 30 < 22)),
    "cut": without(1.5, 1.0),
    "edge through the body": each(lambda _, f, b: cover(f.rgb, 0, 0, (b[0] + b[2]) / 2, 1e4)),
    "mirrored from the middle on": lambda frames, _: [
        f if i < len(frames) // 2 else mirrored(f) for i, f in enumerate(frames)
    ],
}  # fmt: skip


# Those that move what is in the picture: where it was before is told by a picture of columns.
MOVED = {
    "mirrored", "shaken and blurred", "panned", "zoomed", "carried and smeared", "upright",
    "fish-eye", "enters from the edge", "two side by side", "two who cross", "80 px tall",
    "head and trunk alone", "on its side", "mirrored from the middle on",
}  # fmt: skip


@dataclass(eq=False)
class Found:
    """What was made of a video."""

    names: Counter[str] = field(default_factory=Counter)  # pictures by name
    people: Counter[int] = field(default_factory=Counter)  # pictures by number of people
    doubles: int = 0  # pairs of skeletons on one body
    places: dict[str, Counter[int]] = field(default_factory=dict)  # people, -1 elsewhere, by name
    alive: dict[str, float] = field(default_factory=dict)  # greatest liveness by name


def landmarks_of(frames: list[Frame], config: PoseConfig) -> list[Landmarks]:
    """What MediaPipe finds in each frame."""
    landmarker, last, found = PoseLandmarker(config), frames[0].stamp, []
    try:
        for frame in frames:
            found.append(landmarker.detect(frame.stamp - last, frame.rgb))
            last = frame.stamp
    finally:
        landmarker.close()
    return found


def follow(
    frames: list[Frame],
    landmarks: list[Landmarks],
    config: PoseConfig,
    boxes: list[Box],
    columns_of: list[Frame] | None = None,
) -> Found:
    """Names of everybody; `boxes` are where people stand, of several at one place who is nearest.

    `columns_of` are pictures whose red says which column was there before a variant moved it.
    """
    columns = np.array([(left + right) / 2 for left, _, right, _ in boxes])
    height, width = frames[0].rgb.shape[:2]
    estimator = SkeletonEstimator(config)
    camera = camera_from_view(width, height, 60.0)
    found = Found()
    for number, (frame, seen) in enumerate(zip(frames, landmarks, strict=True)):
        people = estimator.update(frame.stamp, seen, camera, rgb=frame.rgb)
        found.names.update(person.person_id for person in people)
        found.people[len(people)] += 1
        assert estimator.detections is not None
        trunks = estimator.detections.pixels[:, TRUNK]
        middles = trunks.mean(1)
        long = np.linalg.norm(trunks[:, :2].mean(1) - trunks[:, 2:].mean(1), axis=-1)
        across = middles[:, 0] / width
        if columns_of:
            x, y = middles.astype(int).T.clip(0, [[width - 1], [height - 1]])
            across = columns_of[number].rgb[y, x, 0] / 255.0
        off = np.abs(across[:, None] - columns)
        for row, person in enumerate(people):
            place = int(off[row].argmin())
            if off[row, place] >= BESIDE or off[:, place].argmin() != row:
                place = -1
            name = person.person_id
            found.places.setdefault(name, Counter())[place] += 1
            found.alive[name] = max(found.alive.get(name, 0.0), person.liveness)
        for i in range(len(people)):
            apart = np.linalg.norm(middles[:i] - middles[i], axis=-1)
            found.doubles += int((apart < SAME_BODY * np.maximum(long[:i], long[i])).sum())
    return found


def main() -> None:
    """Print a line for each variant of each video."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    given = parser.parse_args()
    config = PoseConfig(model=given.model)
    for video in given.videos:
        original = list(VideoFile(str(video)))
        for name in given.only:
            boxes = PEOPLE[video.name]
            frames = VARIANTS[name](original, boxes[0])
            ramp = np.empty_like(original[0].rgb)
            ramp[:] = np.linspace(0.0, 255.0, ramp.shape[1])[None, :, None]
            moved = VARIANTS[name]([Frame(f.stamp, ramp) for f in original], boxes[0])
            found = follow(
                frames,
                landmarks_of(frames, config),
                config,
                boxes,
                moved if name in MOVED else None,
            )
            people = [[p for p in places if p >= 0] for places in found.places.values()]
            usual = [places.most_common(1)[0][0] for places in found.places.values()]
            print(
                f"{video.name:15} {name:28} names {len(found.names)}, on people "
                f"{sum(place >= 0 for place in usual)}, on two {sum(len(p) > 1 for p in people)}; "
                f"doubles {found.doubles}; pictures by people {dict(sorted(found.people.items()))}",
                flush=True,
            )


if __name__ == "__main__":
    main()
