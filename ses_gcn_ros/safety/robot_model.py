"""Robots as capsules in frames: from descriptions (URDF), chains of frames, tools.

Reads what safety needs of URDF (https://docs.ros.org/en/rolling/p/urdfdom/): joints of every kind
but floating and planar, collision shapes (visual ones where a link has none) of spheres, boxes,
cylinders, capsules and meshes.
"""

from __future__ import annotations

import codecs
import dataclasses
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.config import FAR, option
from ses_gcn_ros.errors import ConfigError, RobotError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety.config import SafetyConfig, check_lengths, read_entries
from ses_gcn_ros.safety.geometry import pose_from_xyz_rpy
from ses_gcn_ros.safety.kernels import kernel

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinkCapsule:
    """A capsule in a link's frame: ends of the axis (3,) and radius [m]."""

    start: Array
    end: Array
    radius: float

    def moved(self, pose: Array) -> LinkCapsule:
        """Return the capsule behind a transform (4, 4)."""
        turn, shift = pose[:3, :3], pose[:3, 3]
        return LinkCapsule(turn @ self.start + shift, turn @ self.end + shift, self.radius)


def capsule_of_cylinder(radius: float, length: float) -> LinkCapsule:
    """Return the capsule of the same radius around a cylinder along z; a sphere at length 0."""
    half = np.array([0.0, 0.0, 0.5 * length])
    return LinkCapsule(-half, half, radius)


def capsule_around(points: Array) -> LinkCapsule:
    """Return a small capsule that contains points (P, 3), along one of their principal axes.

    For each principal axis: the radius is that of the points about the axis, the segment as short
    as its caps allow. The one of least volume is taken.
    """
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    _, axes = np.linalg.eigh(np.cov((points - centre).T))
    candidates = [_along_axis(points, axis) for axis in (*axes.T, *np.eye(3))]
    return min(candidates, key=_volume)


def _along_axis(points: Array, axis: Array) -> LinkCapsule:
    along = points @ axis
    across = points - along[:, None] * axis
    middle = 0.5 * (across.min(axis=0) + across.max(axis=0))
    middle = middle - (middle @ axis) * axis
    distance = np.linalg.norm(across - middle, axis=1)
    radius = float(distance.max())
    cap = np.sqrt(np.maximum(radius**2 - distance**2, 0.0))
    low, high = float((along + cap).min()), float((along - cap).max())
    if low > high:  # a ball holds them all
        low = high = 0.5 * (low + high)
    return LinkCapsule(middle + low * axis, middle + high * axis, radius)


def _volume(capsule: LinkCapsule) -> float:
    length = float(np.linalg.norm(capsule.end - capsule.start))
    return capsule.radius**2 * (length + 4.0 / 3.0 * capsule.radius)


def mesh_points(filename: str, folder: Path | None, link: str) -> Array:
    """Vertices (P, 3) of a mesh file in its own unit.

    Raises RobotError if the file can't be found or read, or trimesh isn't installed.

    `filename`: path, ``file://`` or ``package://`` address.
    `folder`: where a relative path begins.
    `link`: whose mesh it is, for messages.
    """
    try:
        import trimesh
    except ImportError as error:
        raise RobotError(
            f"link '{link}' has a mesh; install trimesh to read it, or describe the link by "
            "boxes, cylinders and spheres"
        ) from error
    path = _mesh_path(filename, folder, link)
    try:
        points = np.asarray(trimesh.load_mesh(path).vertices, dtype=np.float64)
    except Exception as error:  # trimesh raises whatever its many readers do
        raise RobotError(f"link '{link}': cannot read the mesh {path}: {error}") from error
    if len(points) < 2:
        raise RobotError(f"link '{link}': the mesh {path} is empty")
    return points


def _mesh_path(filename: str, folder: Path | None, link: str) -> Path:
    address = urlparse(filename)
    if address.scheme == "package":
        path = _package_share(address.netloc, link) / unquote(address.path).lstrip("/")
    elif address.scheme == "file":
        path = Path(unquote(address.path))
    else:
        path = (folder or Path()) / filename
    if not path.is_file():
        raise RobotError(f"link '{link}': there is no mesh file {path}")
    return path


def _package_share(package: str, link: str) -> Path:
    """Find a package's share folder as ament does, through the environment's prefixes."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        share = Path(prefix) / "share" / package
        if prefix and share.is_dir():
            return share
    raise RobotError(
        f"link '{link}': package '{package}' of its mesh is not in AMENT_PREFIX_PATH; "
        "source the workspace that has it"
    )


Element = ElementTree.Element

TURNING = ("revolute", "continuous")
KINDS = (*TURNING, "prismatic", "fixed")


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint of the tree; `parent_from_joint` (4, 4) places its frame at angle 0."""

    name: str
    kind: str
    parent: str
    child: str
    parent_from_joint: Array
    axis: Array  # (3,), unit, in the joint's frame
    lower: float  # rad or m; -inf and inf where unlimited
    upper: float
    velocity: float  # rad/s or m/s
    mimic: tuple[str, float, float] | None = None  # joint that it follows, multiplier, offset

    def transform(self, value: float) -> Array:
        """Return parent_from_child (4, 4) at a joint angle [rad] or displacement [m]."""
        motion = np.eye(4)
        if self.kind in TURNING:  # Rodrigues' formula
            cross = self.cross()
            motion[:3, :3] += math.sin(value) * cross + (1.0 - math.cos(value)) * (cross @ cross)
        elif self.kind == "prismatic":
            motion[:3, 3] = value * self.axis
        return self.parent_from_joint @ motion

    def cross(self) -> Array:
        """Matrix of the cross product with the axis."""
        x, y, z = self.axis.tolist()
        return np.array([(0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)])


class Urdf:
    """A parsed description.

    Raises RobotError if the description can't be read or is not one tree.

    `text`: the XML.
    `folder`: where relative mesh files are looked for.

    Attributes:
    - `root`: the link that no joint moves.
    - `joints`: parents come before their children.
    - `movable`: those that are not fixed.
    - `capsules`: capsules around the shapes of each link, in the link's frame.
    """

    def __init__(self, text: str, folder: Path | None = None) -> None:
        try:
            robot = ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
            if any("xacro" in element.tag for element in robot.iter()):
                raise RobotError(
                    "the robot description is xacro, which nobody has expanded; run "
                    "xacro on it and give what it writes"
                )
        except ElementTree.ParseError as error:
            raise RobotError(f"the robot description is no XML: {error}") from error
        if robot.tag != "robot":
            raise RobotError(f"the robot description begins with <{robot.tag}>, not <robot>")
        self.text = text
        self.links = tuple(_name(link) for link in robot.findall("link"))
        joints = [_joint(element, self.links) for element in robot.findall("joint")]
        for kind, names in (("link", self.links), ("joint", [joint.name for joint in joints])):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise RobotError(f"the robot description has the {kind} '{twice[0]}' twice")
        self.root, self.joints = _sort(self.links, joints)
        self.movable = tuple(joint for joint in self.joints if joint.kind != "fixed")
        self._followers = _followers(self.joints)
        self.capsules = {
            _name(link): _link_capsules(link, folder) for link in robot.findall("link")
        }

    @classmethod
    def load(cls, source: str) -> Urdf:
        """Read a URDF file, the demo cell's for "demo", or text as robot_description holds it.

        Raises RobotError if the file is missing or its content unusable.
        """
        if source.lstrip("\ufeff \t\r\n").startswith("<"):
            return cls(source)
        path = Path(source).expanduser()
        if source == "demo":
            path = share_path("config", "demo", "cell.urdf")
        try:
            text = _text_of(path.read_bytes())
        except (OSError, ValueError, LookupError) as error:
            raise RobotError(f"cannot read the robot description {path}: {error}") from error
        return cls(text, path.parent)

    def moving_links(self) -> tuple[str, ...]:
        """Links that some joint moves against the root, parents first."""
        moving: list[str] = []
        for joint in self.joints:
            if joint.kind != "fixed" or joint.parent in moving:
                moving.append(joint.child)
        return tuple(moving)

    def forward(self, positions: Mapping[str, float]) -> dict[str, Array]:
        """Poses of all links.

        `positions`: angle [rad] or displacement [m] by joint name; 0 for a joint that is not named.
        Gives root_from_link (4, 4) by link name.
        """
        return dict(zip(self.numbers, self.place(positions), strict=True))

    def place(self, positions: Mapping[str, float]) -> Array:
        """Poses (J + 1, 4, 4) of all links, as `forward`, in the order of their `numbers`."""
        known = self.with_followers(positions)
        values = np.array([known.get(joint.name, 0.0) for joint in self.joints], np.float64)
        links = np.empty((len(self.joints) + 1, 4, 4))
        kernel("motion").forward(values, self.chain, links)
        return links

    def with_followers(
        self, values: Mapping[str, float], *, rates: bool = False
    ) -> Mapping[str, float]:
        """Values by joint name, and those of joints that mimic one of them and are not named.

        Of `rates` the offsets are left out.
        """
        found = dict(values)
        for joint, (leader, multiplier, offset) in self._followers:
            if joint not in values and leader in found:
                found[joint] = multiplier * found[leader] + (0.0 if rates else offset)
        return found

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each link: 0 for the root, j + 1 for the link that joint j moves."""
        return {self.root: 0} | {joint.child: n for n, joint in enumerate(self.joints, start=1)}

    @cached_property
    def chain(self) -> tuple[Array, Array, Array, Array, NDArray[np.int64]]:
        """The joints as arrays, for `motion_kernel.follow`.

        Poses of the joints at 0 (J, 4, 4); what the sine, one less the cosine (Rodrigues' formula)
        and the value itself add to them, (J, 4, 4) each; number of each one's parent link.
        """
        origins = np.array([j.parent_from_joint for j in self.joints]).reshape(-1, 4, 4)
        turns, slides = np.zeros((2, *origins.shape))
        for index, joint in enumerate(self.joints):
            if joint.kind in TURNING:
                turns[index, :3, :3] = joint.cross()
            elif joint.kind == "prismatic":
                slides[index, :3, 3] = joint.axis
        parents = np.array([self.numbers[joint.parent] for joint in self.joints], dtype=np.int64)
        return origins, origins @ turns, origins @ turns @ turns, origins @ slides, parents


def _name(element: Element) -> str:
    name = element.get("name")
    if not name:
        raise RobotError(f"a <{element.tag}> of the robot description has no name")
    return name


def _numbers(element: Element | None, key: str, default: str) -> Array:
    text = default if element is None else element.get(key, default)
    try:
        numbers = np.array([float(part) for part in text.split()])
    except ValueError as error:
        raise RobotError(f"'{key}=\"{text}\"' of the robot description: {error}") from error
    if numbers.shape != (len(default.split()),) or not np.isfinite(numbers).all():
        raise RobotError(f"'{key}=\"{text}\"' takes {len(default.split())} finite numbers")
    return numbers


def _origin(element: Element) -> Array:
    origin = element.find("origin")
    return pose_from_xyz_rpy(_numbers(origin, "xyz", "0 0 0"), _numbers(origin, "rpy", "0 0 0"))


def _mimic(name: str, element: Element | None) -> tuple[str, float, float] | None:
    if element is None:
        return None
    leader = element.get("joint")
    if not leader:
        raise RobotError(f"joint '{name}' mimics a joint without a name")
    multiplier, offset = _numbers(element, "multiplier", "1"), _numbers(element, "offset", "0")
    return leader, float(multiplier[0]), float(offset[0])


def _followers(joints: tuple[Joint, ...]) -> list[tuple[str, tuple[str, float, float]]]:
    """Joints that mimic others, each behind the one that it follows."""
    left = {joint.name: joint.mimic for joint in joints if joint.mimic}
    led = {joint.name for joint in joints if not joint.mimic}
    ordered = []
    while left:
        ready = [name for name, (leader, _, _) in left.items() if leader in led]
        if not ready:
            name, (leader, _, _) = next(iter(left.items()))
            raise RobotError(f"joint '{name}' mimics '{leader}', which is no joint, or in a circle")
        ordered += [(name, left.pop(name)) for name in ready]
        led |= set(ready)
    return ordered


def _joint(element: Element, links: tuple[str, ...]) -> Joint:
    name, kind = _name(element), element.get("type", "")
    if kind not in KINDS:
        raise RobotError(
            f"joint '{name}' is of type '{kind}'; known are {', '.join(KINDS)}: where TF says how "
            "a base moves, leave its joint out of the description, and what is above it"
        )
    ends = []
    for tag in ("parent", "child"):
        end = element.find(tag)
        link = "" if end is None else end.get("link", "")
        if link not in links:
            raise RobotError(f"joint '{name}' has the {tag} '{link}', which is no link")
        ends.append(link)
    axis = _numbers(element.find("axis"), "xyz", "1 0 0")
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        raise RobotError(f"joint '{name}' has an axis without length")
    limit = element.find("limit")
    unlimited = kind == "continuous" or limit is None
    return Joint(
        name=name,
        kind=kind,
        parent=ends[0],
        child=ends[1],
        parent_from_joint=_origin(element),
        axis=axis / length,
        lower=-math.inf if unlimited else float(_numbers(limit, "lower", "0")[0]),
        upper=math.inf if unlimited else float(_numbers(limit, "upper", "0")[0]),
        velocity=math.inf if limit is None else float(_numbers(limit, "velocity", "0")[0]),
        mimic=_mimic(name, element.find("mimic")),
    )


def _sort(links: tuple[str, ...], joints: list[Joint]) -> tuple[str, tuple[Joint, ...]]:
    """Order joints from the root outwards, and check that they make one tree."""
    children = [joint.child for joint in joints]
    twice = sorted({child for child in children if children.count(child) > 1})
    if twice:
        raise RobotError(f"link '{twice[0]}' is the child of two joints")
    roots = [link for link in links if link not in children]
    if len(roots) != 1:
        raise RobotError(f"the robot description has {len(roots)} root links ({roots}); it takes 1")
    ordered: list[Joint] = []
    reached = {roots[0]}
    while len(ordered) < len(joints):
        ready = [joint for joint in joints if joint.parent in reached and joint not in ordered]
        if not ready:
            raise RobotError("the joints of the robot description make a loop")
        ordered += ready
        reached |= {joint.child for joint in ready}
    return roots[0], tuple(ordered)


def _link_capsules(link: Element, folder: Path | None) -> tuple[LinkCapsule, ...]:
    shapes = link.findall("collision") or link.findall("visual")
    return tuple(_capsule(shape, _name(link), folder) for shape in shapes)


def _capsule(shape: Element, link: str, folder: Path | None) -> LinkCapsule:
    geometry = shape.find("geometry")
    kinds = [] if geometry is None else list(geometry)
    if len(kinds) != 1:
        raise RobotError(f"a shape of link '{link}' has {len(kinds)} geometries; it takes 1")
    element = kinds[0]
    if element.tag in ("cylinder", "capsule"):
        radius = float(_numbers(element, "radius", "0")[0])
        length = float(_numbers(element, "length", "0")[0])
        capsule = capsule_of_cylinder(radius, length)
    elif element.tag == "sphere":
        capsule = capsule_of_cylinder(float(_numbers(element, "radius", "0")[0]), 0.0)
    elif element.tag == "box":
        signs = np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, 8).T
        capsule = capsule_around(signs * _numbers(element, "size", "0 0 0"))
    elif element.tag == "mesh":
        scale = _numbers(element, "scale", "1 1 1")
        capsule = capsule_around(scale * mesh_points(element.get("filename", ""), folder, link))
    else:
        raise RobotError(f"link '{link}' has a <{element.tag}>; take a box, cylinder or sphere")
    if capsule.radius <= 0:
        raise RobotError(f"the <{element.tag}> of link '{link}' has no size")
    return capsule.moved(_origin(shape))


def _text_of(data: bytes) -> str:
    """Text of an XML file, in the encoding that it declares."""
    declared = re.match(rb"\s*<\?xml[^>]*encoding=[\"']([A-Za-z][\w.-]*)", data)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode(declared[1].decode() if declared else "utf-8")


FARTHEST = 30.0  # m that a link reaches from its frame, and frames of one robot lie apart


@dataclass(frozen=True, eq=False)
class RobotModel:
    """M capsules whose ends are fixed in F frames.

    Raises RobotError if one of them is so large that it can't be in metres.

    Attributes:
    - `frames`: names of the F frames that have to be looked up.
    - `names`: frame that each of the M capsules is reported under.
    - `start_frame`, `end_frame` (M,): index of the frame that the start and the end of each axis is
      fixed in.
    - `start`, `end` (M, 3): the ends in those frames [m].
    - `radius` (M,): radii [m].
    - `robot` (M,): robot that each belongs to, which it moves and brakes with; one by default.
    """

    frames: tuple[str, ...]
    names: tuple[str, ...]
    start_frame: NDArray[np.int64]
    end_frame: NDArray[np.int64]
    start: Array
    end: Array
    radius: Array
    robot: NDArray[np.int64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.robot is None:
            object.__setattr__(self, "robot", np.zeros(len(self.names), np.int64))
        reach = np.maximum(*(np.linalg.norm(end, axis=1) for end in (self.start, self.end)))
        reach = reach + self.radius
        if len(reach) and not reach.max() <= FARTHEST:
            raise RobotError(
                f"'{self.names[int(reach.argmax())]}' of a robot reaches {reach.max():.0f} m from "
                "its frame; is it described in millimetres? Lengths are in metres, and a mesh in "
                'millimetres takes scale="0.001 0.001 0.001"'
            )

    @classmethod
    def from_frames(cls, frames: Sequence[str], radii: Sequence[float]) -> RobotModel:
        """Join frames to a chain: capsule i leads from the origin of frame i to that of i + 1.

        Raises ConfigError if there are fewer than two frames, or not one radius per link.
        """
        links = len(frames) - 1
        if links < 1:
            raise ConfigError(
                f"robot_frames is {list(frames)}; name at least two frames of the robot's chain, "
                "or give robot_description"
            )
        if len(radii) not in (1, links) or not all(radius > 0 for radius in radii):
            raise ConfigError(
                f"robot_radii is {list(radii)}; {len(frames)} robot_frames take {links} radii "
                "above 0, or one for all"
            )
        index = np.arange(links)
        return cls(
            frames=tuple(frames),
            names=tuple(frames[1:]),
            start_frame=index,
            end_frame=index + 1,
            start=np.zeros((links, 3)),
            end=np.zeros((links, 3)),
            radius=np.broadcast_to(np.asarray(radii, np.float64), (links,)).copy(),
        )

    @classmethod
    def from_urdf(cls, urdf: Urdf, links: Sequence[str] = ()) -> RobotModel:
        """Take the capsules of a description's links.

        Raises RobotError if a link is unknown, or none of them has a shape.

        `links`: links to watch; all that move against the root by default.
        """
        for link in links:
            if link not in urdf.links:
                raise RobotError(
                    f"robot_frames names '{link}'; "
                    f"the robot description has {', '.join(urdf.links)}"
                )
        watched = [link for link in links or urdf.moving_links() if urdf.capsules[link]]
        if not watched:
            raise RobotError("no watched link of the robot description has a collision shape")
        shapes = [(i, s) for i, link in enumerate(watched) for s in urdf.capsules[link]]
        index = np.array([i for i, _ in shapes])
        return cls(
            frames=tuple(watched),
            names=tuple(watched[i] for i, _ in shapes),
            start_frame=index,
            end_frame=index,
            start=np.array([shape.start for _, shape in shapes]),
            end=np.array([shape.end for _, shape in shapes]),
            radius=np.array([shape.radius for _, shape in shapes]),
        )

    def place(self, poses: Array) -> tuple[Array, Array]:
        """Ends of the axes, each (M, 3) [m], from world_from_frame poses (F, 4, 4)."""
        poses = np.ascontiguousarray(poses, np.float64)
        start, end = np.empty((2, *self.start.shape))
        kernel("motion").place(poses, self.starts, self.ends, start, end)
        return start, end

    @cached_property
    def starts(self) -> tuple[NDArray[np.int64], Array]:
        """Frame of each start and where it is there, as the kernels take them."""
        return self.start_frame, self.start

    @cached_property
    def ends(self) -> tuple[NDArray[np.int64], Array]:
        """Frame of each end and where it is there."""
        return self.end_frame, self.end

    def joined(self, other: RobotModel) -> RobotModel:
        """Both as one, such as two arms, or an arm and the tool that it carries."""
        frames = tuple(dict.fromkeys((*self.frames, *other.frames)))
        index = np.array([frames.index(frame) for frame in other.frames], dtype=np.int64)
        return RobotModel(
            frames=frames,
            names=self.names + other.names,
            start_frame=np.concatenate([self.start_frame, index[other.start_frame]]),
            end_frame=np.concatenate([self.end_frame, index[other.end_frame]]),
            start=np.concatenate([self.start, other.start]),
            end=np.concatenate([self.end, other.end]),
            radius=np.concatenate([self.radius, other.radius]),
            robot=np.concatenate([self.robot, other.robot]),
        )

    def with_frames(self, frames: Sequence[str]) -> RobotModel:
        """Look up more frames, such as those that zones are fixed in."""
        return dataclasses.replace(self, frames=tuple(dict.fromkeys((*self.frames, *frames))))

    def of_robot(self, number: int) -> RobotModel:
        """The same as parts of the robot of a number."""
        return dataclasses.replace(self, robot=np.full(len(self.names), number))

    def prefixed(self, prefix: str) -> RobotModel:
        """The same under other names, as TF has them for the second robot of a kind."""
        return dataclasses.replace(
            self,
            frames=tuple(prefix + frame for frame in self.frames),
            names=tuple(prefix + name for name in self.names),
        )


@dataclass(frozen=True)
class Tool:
    """An entry of the parameter `tools`: a capsule that a robot carries, fixed in a TF frame."""

    name: str = option("", "named in the reasons as a link is")
    frame: str = option("", "TF frame that it is fixed in")
    start: tuple[float, ...] = option(
        (0.0, 0.0, 0.0), "one end of its axis in that frame [m]", minimum=-FAR, maximum=FAR
    )
    end: tuple[float, ...] = option(
        (0.0, 0.0, 0.0), "the other end [m]; the same for a ball", minimum=-FAR, maximum=FAR
    )
    radius: float = option(0.0, "[m]", minimum=0.0, maximum=10.0)

    def model(self) -> RobotModel:
        """The tool as a robot of one capsule.

        Raises ConfigError if it lacks a name, a frame or a radius, or an end has not three
        coordinates.
        """
        if not (self.name and self.frame and self.radius > 0):
            raise ConfigError(
                f"tool '{self.name}' takes a name, a frame (now '{self.frame}') and a radius "
                f"above 0 (now {self.radius})"
            )
        check_lengths(f"tool '{self.name}'", start=self.start, end=self.end)
        first = np.zeros(1, np.int64)
        start, end = np.array([self.start]), np.array([self.end])
        return RobotModel(
            (self.frame,), (self.name,), first, first, start, end, np.array([self.radius])
        )


@dataclass(frozen=True)
class FurtherRobot:
    """An entry of the parameter `more_robots`, described as the first one is."""

    description: str = option("", "URDF file or text; empty: frames and radii")
    frames: tuple[str, ...] = option((), "as robot_frames")
    radii: tuple[float, ...] = option((), "as robot_radii", minimum=0.0, maximum=10.0)
    frame_prefix: str = option("", "before the names of a URDF's links in TF, such as 'left_'")
    deceleration: float = option(
        0.0,
        "while it brakes [m/s²]; without brakes of its own it has the first robot's",
        minimum=0,
        maximum=100,
    )
    stopping_time: float = option(0.0, "from any speed to rest [s]", minimum=0, maximum=10)
    stopping_speeds: tuple[float, ...] = option(
        (), "as for the first robot [m/s]", minimum=0.0, maximum=20.0
    )
    stopping_times: tuple[float, ...] = option(
        (), "time to rest from each of them [s]", minimum=0.0, maximum=10.0
    )


@dataclass(frozen=True, eq=False)
class Robots:
    """Capsules of all robots and their tools, and the description of the first robot."""

    model: RobotModel
    urdf: Urdf | None


def read_robots(config: SafetyConfig) -> Robots:
    """Read the robots and tools that are monitored.

    A tool brakes as the robot that has its frame, else as the first one. Raises ConfigError if a
    parameter can't be used; RobotError if a description can't be used.
    """
    urdf = Urdf.load(config.robot_description) if config.robot_description else None
    model = _robot(urdf, config.robot_frames, config.robot_radii)
    known = [set(model.frames) | set(urdf.links if urdf else ())]
    for robot in read_entries("more_robots", config.more_robots, FurtherRobot):
        described = Urdf.load(robot.description) if robot.description else None
        other = _robot(described, robot.frames, robot.radii).prefixed(robot.frame_prefix)
        if set(other.frames) <= set(model.frames):
            raise ConfigError(
                f"more_robots names {', '.join(other.frames)}, which are frames of another robot; "
                "give what tells this one's apart in TF as frame_prefix, such as 'left_'"
            )
        links = other.frames + (described.links if described else ())
        model = model.joined(other.of_robot(len(known)))
        known.append({robot.frame_prefix + link for link in links})
    for tool in read_entries("tools", config.tools, Tool):
        carried_by = [number for number, frames in enumerate(known) if tool.frame in frames]
        model = model.joined(tool.model().of_robot(carried_by[0] if carried_by else 0))
    return Robots(model, urdf)


def _robot(urdf: Urdf | None, frames: tuple[str, ...], radii: tuple[float, ...]) -> RobotModel:
    if urdf is not None:
        return RobotModel.from_urdf(urdf, frames)
    return RobotModel.from_frames(frames, radii)
