"""Data sets of motion capture: CMU's skeletons and joint angles, AMASS's joints, CHICO's poses.

CMU's files (.asf, .amc) are in Acclaim's format as the CMU Graphics Lab Motion Capture Database
uses it. A bone has a direction and a length in the skeleton's frame, an axis that its own frame is
turned by, and degrees of freedom. The root moves and turns; a bone begins where its parent ends.
Angles turn about x, then y, then z.

The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with
funding from NSF EIA-0196217.
"""

from __future__ import annotations

import csv
import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import convert, get_layout

UNIT = 0.0254 / 0.45  # m; the skeletons are in inches times 0.45
RECORDED_FPS = 120.0
ABOUT = {
    "licence": "CMU Graphics Lab Motion Capture Database: free for use in research and commercial "
    "projects worldwide",
    "acknowledgement": "The data used in this project was obtained from mocap.cs.cmu.edu. The "
    "database was created with funding from NSF EIA-0196217.",
}
FPS = 25.0
_ROOT = "root"
_ALL = slice(None)
_CUTOFF = 10.0  # Hz; faster is noise of the markers
_SHORTEST = 30  # frames at 120 Hz that filtering takes
_AXES = {"rx": 0, "ry": 1, "rz": 2}
_NOSE = 0.10  # m before the head bone's end, which lies on the crown; the data have no nose
_BONES = (
    *("rhipjoint", "rfemur", "rtibia", "lhipjoint", "lfemur", "ltibia"),
    *("rclavicle", "rhumerus", "rwrist", "lclavicle", "lhumerus", "lwrist"),
)


def chico15(
    ends: Mapping[str, NDArray[np.float64]], facing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Layout chico15 (T, 15, 3) [m], z up, from where bones end, y up.

    Hip and c_shoulder are midpoints; a foot is the ankle; the nose is made.

    `ends` (T, 3): end of each bone by its name in the database [m].
    `facing` (T, 3): where the face points, of length 1.
    """
    legs, arms = (np.stack([ends[bone] for bone in part], 1) for part in (_BONES[:6], _BONES[6:]))
    hip, shoulders = (part[:, [0, 3]].mean(axis=1, keepdims=True) for part in (legs, arms))
    nose = (ends["head"] + _NOSE * facing)[:, None]
    joints = np.concatenate([hip, legs, nose, shoulders, arms], axis=1)
    return np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)


@dataclass
class Bone:
    """One bone: where it ends [m] and its own axes, both in the skeleton's frame; its freedoms."""

    parent: str = ""
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    frame: Rotation = field(default_factory=Rotation.identity)
    freedoms: tuple[int, ...] = ()


def read_asf(path: Path) -> dict[str, Bone]:
    """Bones of a skeleton by name, parents before children.

    Raises InputError if the file is missing or is no skeleton in degrees with the root as CMU has
    it.
    """
    sections = _sections(path)
    try:
        for line in sections["root"]:
            if line[0] == "order" and line[1:] != ["TX", "TY", "TZ", "RX", "RY", "RZ"]:
                raise InputError(f"the root of '{path}' turns in another order: {line[1:]}")
        bones: dict[str, Bone] = {}
        values: dict[str, list[str]] = {}
        for line in sections["bonedata"]:
            if line[0] == "begin":
                values = {}
            elif line[0] == "end":
                bones[values["name"][0]] = _bone(values)
            else:
                values[line[0]] = line[1:]
        ordered = {}
        for parent, *children in sections["hierarchy"]:
            for child in children if parent not in ("begin", "end") else ():
                ordered[child] = bones[child]
                ordered[child].parent = parent
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{path}' is no skeleton in Acclaim's format: {error!r}") from error
    return ordered


def _bone(values: dict[str, list[str]]) -> Bone:
    direction = np.array(values["direction"][:3], float).reshape(3)
    axis = np.array(values["axis"][:3], float).reshape(3)
    return Bone(
        offset=UNIT * float(values["length"][0]) * direction,
        frame=Rotation.from_euler("xyz", axis, degrees=True),
        freedoms=tuple(_AXES[name] for name in values.get("dof", [])),
    )


def _sections(path: Path) -> dict[str, list[list[str]]]:
    """Words of each line, by section."""
    sections: dict[str, list[list[str]]] = {}
    for line in _lines(path):
        words = line.split()
        if words[0].startswith(":"):
            sections[words[0][1:]] = current = []
        elif sections:
            current.append(words)
    return sections


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"there is no file '{path}'")
    text = path.read_text(encoding="latin-1")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def read_amc(path: Path, bones: dict[str, Bone]) -> dict[str, NDArray[np.float64]]:
    """Numbers of each bone that moves, (T, freedoms), and of the root, (T, 6).

    Raises InputError if the file is missing, damaged or belongs to another skeleton.
    """
    wanted = {name: len(bone.freedoms) for name, bone in bones.items() if bone.freedoms}
    wanted[_ROOT] = 6
    rows: dict[str, list[list[float]]] = {name: [] for name in wanted}
    frames = 0
    try:
        for line in _lines(path):
            words = line.split()
            if words[0].startswith(":"):
                continue
            if len(words) == 1 and words[0].isdigit():
                frames += 1
            elif words[0] in wanted:
                rows[words[0]].append([float(word) for word in words[1:]])
        angles = {name: np.array(numbers, np.float64) for name, numbers in rows.items()}
    except ValueError as error:
        raise InputError(f"'{path}' is no motion in Acclaim's format: {error}") from error
    for name, numbers in angles.items():
        if not frames or numbers.shape != (frames, wanted[name]):
            raise InputError(
                f"'{path}' has {numbers.shape} numbers of '{name}' in {frames} frames; its "
                f"skeleton asks for {wanted[name]} a frame"
            )
    return angles


def positions(
    bones: dict[str, Bone], angles: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Layout chico15 of every frame [m], z up, (T, 15, 3)."""
    root = angles[_ROOT]
    turns = {_ROOT: Rotation.from_euler("xyz", root[:, 3:], degrees=True)}
    ends = {_ROOT: UNIT * root[:, :3]}
    for name, bone in bones.items():
        turn = turns[bone.parent]
        if bone.freedoms:
            own = np.zeros((len(root), 3))
            own[:, bone.freedoms] = angles[name]
            local = bone.frame * Rotation.from_euler("xyz", own, degrees=True) * bone.frame.inv()
            turn = turn * local
        turns[name] = turn
        ends[name] = ends[bone.parent] + turn.apply(bone.offset)
    return chico15(ends, turns["head"].apply([0.0, 0.0, 1.0]))


def resampled(recorded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Motion at 120 Hz as it is at 25 Hz: smoothed without delay, interpolated (Catmull-Rom)."""
    # 40 MB that whoever evaluates bags, and reads labels as this module's neighbours do, need not
    from scipy.interpolate import CubicHermiteSpline
    from scipy.signal import butter, sosfiltfilt

    filtered = recorded
    if len(recorded) > _SHORTEST:
        low = butter(4, _CUTOFF, fs=RECORDED_FPS, output="sos")
        filtered = sosfiltfilt(low, recorded, axis=0)
    count = int((len(recorded) - 1) * FPS / RECORDED_FPS + 1e-9) + 1
    if len(recorded) < 2:
        return filtered
    around = np.pad(filtered, ((1, 1), (0, 0), (0, 0)), "edge")
    curve = CubicHermiteSpline(np.arange(len(recorded)), filtered, (around[2:] - around[:-2]) / 2)
    return np.asarray(curve(np.arange(count) * RECORDED_FPS / FPS))


def read_asf_amc(folder: Path) -> list[Sequence]:
    """All trials below a folder at 25 Hz in layout chico15, each read when first looked at.

    They are named as ``cmu_02_01``, with the subject of the file's name. Raises InputError if there
    are none, or a trial's skeleton is missing.
    """
    paths = sorted(folder.rglob("*_*.amc"))
    if not paths:
        raise InputError(f"'{folder}' holds no files like 02/02.asf and 02/02_01.amc")
    return [_sequence(f"cmu_{path.stem}", index, path) for index, path in enumerate(paths)]


def read_training_trials(folder: Path) -> list[Sequence]:
    """The parts of trials that the weights that ship are trained and measured on.

    ``config/training/cmu_trials.csv`` lists them: the name of each, its trial, its first frame and
    the one after its last, its kind, and whether it is like work in a cell. Raises InputError if a
    trial or its skeleton is not below the folder.
    """
    paths = {path.stem: path for path in folder.rglob("*_*.amc")}
    with open(share_path("config", "training", "cmu_trials.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = sorted({row["trial"] for row in rows} - set(paths))
    if missing:
        raise InputError(
            f"'{folder}' lacks {len(missing)} of the {len(rows)} listed trials, such as "
            f"{missing[0]}.amc; get them from mocap.cs.cmu.edu, or convert what is there with "
            "--kind asf_amc"
        )
    return [
        _sequence(
            row["id"],
            index,
            paths[row["trial"]],
            slice(int(row["first"]), int(row["last"])),
            frozenset([row["category"]] + ["core"] * (row["core"] == "1")),
        )
        for index, row in enumerate(rows)
    ]


def _sequence(
    name: str, index: int, path: Path, part: slice = _ALL, tags: frozenset[str] = frozenset()
) -> Sequence:
    subject = path.stem.partition("_")[0]
    skeleton = path.with_name(f"{subject}.asf")
    if not skeleton.is_file():
        raise InputError(f"'{path}' lacks its skeleton '{skeleton.name}' beside it")
    read = partial(_read, path, skeleton, part)
    return Sequence(name, index, subject, tags, FPS, "chico15", read)


def _read(path: Path, skeleton: Path, part: slice) -> NDArray[np.float32]:
    bones = read_asf(skeleton)
    angles = read_amc(path, bones)
    try:
        recorded = positions(bones, angles)[part]
    except KeyError as error:
        raise InputError(f"the skeleton '{skeleton}' lacks the bone {error}") from error
    except ValueError as error:
        raise InputError(f"'{skeleton}' or '{path}' turns a bone by no angle: {error}") from error
    return resampled(recorded).astype(np.float32)


LAYOUT = "chico15"
_SMPL = "smpl22"
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps")


def read_amass(path: Path) -> list[Sequence]:
    """Motion of one file, or of all npz files below a folder, in layout chico15.

    Files as AMASS's tools write them (Mahmood et al., ICCV 2019). AMASS itself holds parameters of
    a body model, ``poses`` and ``betas``; where the joints are follows from the model, which its
    licence keeps from being shipped. So a file must hold positions: an array ``joints`` (T, J, 3)
    in metres, z up, as the model gives them, J at least 22 in SMPL's order, and
    ``mocap_framerate`` or ``fps``.

    Sequences are named by the path below the folder; the subject is the file's folder. Raises
    InputError if there are no such files or one lacks positions or a frame rate.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"'{path}' holds no npz files")
    return [
        Sequence(
            name=file.relative_to(root).with_suffix("").as_posix(),
            index=index,
            subject=file.parent.name if file.parent != root else "",
            tags=frozenset(file.relative_to(root).parts[:1])
            if file.parent != root
            else frozenset(),
            fps=_rate(file),
            layout=LAYOUT,
            source=partial(_positions, file),
        )
        for index, file in enumerate(files)
    ]


def _rate(path: Path) -> float:
    arrays = load_arrays(path)
    given = next((arrays[name] for name in _RATES if name in arrays), None)
    if given is None or given.size != 1 or not 0 < float(given) < np.inf:
        raise InputError(f"'{path}' does not give one frame rate, as {' or '.join(_RATES)}")
    return float(given)


def _positions(path: Path) -> NDArray[np.float32]:
    arrays = load_arrays(path)
    if "joints" not in arrays:
        has = "parameters of a body model alone" if "poses" in arrays else "no positions of joints"
        raise InputError(
            f"'{path}' holds {has}; run the body model over it, which is not shipped here, and add "
            "what it gives as an array 'joints' (T, J, 3)"
        )
    joints, needed = arrays["joints"], len(get_layout(_SMPL).joints)
    if joints.ndim != 3 or joints.shape[1] < needed or joints.shape[2] != 3:
        raise InputError(
            f"'joints' of '{path}' has shape {joints.shape}; it takes (T, J, 3) with at least "
            f"{needed} joints in SMPL's order"
        )
    body = joints[:, :needed]
    converted, _ = convert(body, np.ones(body.shape[:2]), _SMPL, LAYOUT)
    return converted


CHICO_VALIDATE = ("00", "04")
CHICO_TEST = ("02", "03", "18", "19")
CRASH = "crash"  # tag of the recordings with collisions
_SHAPES = ((15, 3), (9, 3))
_NUMPY = ("numpy.core", "numpy._core")  # the name changed with numpy 2


@dataclass(frozen=True, eq=False)
class Collaboration:
    """A person and the robot beside them."""

    person: NDArray[np.float32]  # (T, 15, 3): joints in the order of layout chico15 [m]
    robot: NDArray[np.float32]  # (T, 9, 3): points along the arm, from its base [m]
    fps: float = FPS  # frame rate [Hz]


def read_collaboration(path: Path) -> Collaboration:
    """Read one file of CHICO. Nothing in it is run: it may hold lists and arrays of numbers.

    Raises InputError if the file is missing, asks for anything but arrays and lists, or a frame has
    another number of joints or a position that is not finite.
    """
    try:
        content = path.read_bytes()
        _check_memo(content)
        frames = _ArraysOnly(io.BytesIO(content)).load()
    except FileNotFoundError:
        raise InputError(f"there is no recording at '{path}'") from None
    except _Refused as error:
        raise InputError(f"'{path}' {error}") from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).partition("\n")[0]
        raise InputError(f"'{path}' is no pickle of lists and arrays: {reason}") from error
    if not isinstance(frames, list) or not frames:
        raise InputError(f"'{path}' holds no list of frames; CHICO's files do")
    return Collaboration(person=_part(path, frames, 0), robot=_part(path, frames, 1))


def _part(path: Path, frames: list[Any], which: int) -> NDArray[np.float32]:
    """The person (0) or the robot (1) of all frames [m]."""
    shape, name = _SHAPES[which], ("person", "robot")[which]
    points = []
    for number, frame in enumerate(frames):
        try:
            points.append(np.asarray(frame[which], dtype=np.float64))
        except MISSHAPEN as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"frame {number} of '{path}' has no {name} of numbers: {reason}"
            ) from error
        if points[-1].shape != shape:
            raise InputError(
                f"frame {number} of '{path}' has a {name} of shape {points[-1].shape}; CHICO's is "
                f"{shape}"
            )
    metres = (np.stack(points) / 1000).astype(np.float32)  # infinite where too large for it
    if not np.isfinite(metres).all():
        number, joint = np.argwhere(~np.isfinite(metres))[0, :2]
        raise InputError(f"'{path}' is not finite at frame {number}, point {joint} of the {name}")
    return metres


def read_chico(folder: Path) -> list[Sequence]:
    """People of all recordings of CHICO below a folder, each read when first looked at.

    CHICO (Sampieri et al., ECCV 2022) shows people and a cobot in seven industrial actions. Files
    ``S00/hammer.pkl`` … are pickles of a list over frames of (person 15×3, robot 9×3), absolute
    millimetres, 25 frames a second. The robot is a KUKA iiwa: nine points, links in a chain.

    They are named as ``S00/hammer``, with subject ``00`` and the action as tag; collisions are
    tagged `CRASH` as well. Raises InputError if there are no such files.
    """
    paths = sorted(folder.glob("S[0-9]*/*.pkl"))
    if not paths:
        raise InputError(f"'{folder}' holds no files like S00/hammer.pkl")
    sequences = []
    for index, path in enumerate(paths):
        action, _, variant = path.stem.partition("_CRASH")
        crashed = path.stem.endswith("_CRASH")
        sequences.append(
            Sequence(
                name=f"{path.parent.name}/{path.stem}",
                index=index,
                subject=path.parent.name.removeprefix("S"),
                tags=frozenset([action + variant] + [CRASH] * crashed),
                fps=FPS,
                layout=LAYOUT,
                source=partial(_person, path),
            )
        )
    return sequences


def _person(path: Path) -> NDArray[np.float32]:
    return read_collaboration(path).person


class _Refused(Exception):
    """A pickle asked for something that is no array."""


def _encode(text: str, encoding: str) -> bytes:
    """How old pickles spell bytes."""
    if encoding != "latin1":
        raise _Refused(f"asks for the encoding '{encoding}', which arrays don't need")
    return text.encode(encoding)


def _check_memo(content: bytes) -> None:
    """Refuse a memo index beyond the file's length: Python takes 16 bytes of memory per index."""
    for code, argument, _ in pickletools.genops(content):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise _Refused(f"numbers an object {argument} in {len(content)} bytes; it is damaged")


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows numpy arrays and nothing else that is not built in."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        root = next((root for root in _NUMPY if module.startswith(f"{root}.")), None)
        if root is not None:
            known = f"{module.removeprefix(root)}.{name}"
            if known in (".multiarray._reconstruct", ".multiarray.scalar", ".numeric._frombuffer"):
                return super().find_class(_installed(module, root), name)
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise _Refused(
            f"asks for '{module}.{name}'; a recording holds lists and arrays alone, so it was not "
            "opened"
        )


def _installed(module: str, root: str) -> str:
    """Name of a numpy module in the numpy that is here."""
    return _NUMPY[int(np.__version__.partition(".")[0]) >= 2] + module.removeprefix(root)
