"""A robot's description: link tree, forward kinematics and the shapes of its links.

Reads what safety needs of URDF (https://docs.ros.org/en/rolling/p/urdfdom/): joints of every kind
but floating and planar, collision shapes (visual ones where a link has none) of spheres, boxes,
cylinders, capsules and meshes.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import RobotError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.placing import pose_from_xyz_rpy
from ses_gcn_ros.safety.shapes import LinkCapsule, capsule_around, capsule_of_cylinder, mesh_points

Array = NDArray[np.float64]
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

    Parameters
    ----------
    text : str
        The XML.
    folder : Path, optional
        Where relative mesh files are looked for.

    Attributes
    ----------
    root : str
        The link that no joint moves.
    joints : tuple of Joint
        Parents come before their children.
    movable : tuple of Joint
        Those that are not fixed.
    capsules : dict of str to tuple of LinkCapsule
        Capsules around the shapes of each link, in the link's frame.

    Raises
    ------
    RobotError
        If the description can't be read or is not one tree.
    """

    def __init__(self, text: str, folder: Path | None = None) -> None:
        try:
            robot = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise RobotError(f"the robot description is no XML: {error}") from error
        if robot.tag != "robot":
            raise RobotError(f"the robot description begins with <{robot.tag}>, not <robot>")
        self.text = text
        self.links = tuple(_name(link) for link in robot.findall("link"))
        joints = [_joint(element, self.links) for element in robot.findall("joint")]
        self.root, self.joints = _sort(self.links, joints)
        self.movable = tuple(joint for joint in self.joints if joint.kind != "fixed")
        self.capsules = {
            _name(link): _link_capsules(link, folder) for link in robot.findall("link")
        }

    @classmethod
    def load(cls, source: str) -> Urdf:
        """Read a URDF file, the demo cell's for "demo", or text as robot_description holds it.

        Raises
        ------
        RobotError
            If the file is missing or its content unusable.
        """
        if source.lstrip().startswith("<"):
            return cls(source)
        path = Path(source).expanduser()
        if source == "demo":
            path = share_path("config", "demo", "cell.urdf")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
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

        Parameters
        ----------
        positions : mapping of str to float
            Angle [rad] or displacement [m] by joint name; 0 for a joint that is not named.

        Returns
        -------
        dict of str to ndarray, shape (4, 4)
            root_from_link by link name.
        """
        return dict(zip(self.numbers, self.place(positions), strict=True))

    def place(self, positions: Mapping[str, float]) -> Array:
        """Poses (J + 1, 4, 4) of all links, as `forward`, in the order of their `numbers`."""
        values = np.array([positions.get(joint.name, 0.0) for joint in self.joints], np.float64)
        links = np.empty((len(self.joints) + 1, 4, 4))
        kernel("motion").forward(values, self.chain, links)
        return links

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


def _joint(element: Element, links: tuple[str, ...]) -> Joint:
    name, kind = _name(element), element.get("type", "")
    if kind not in KINDS:
        raise RobotError(f"joint '{name}' is of type '{kind}'; known are {', '.join(KINDS)}")
    if element.find("mimic") is not None:
        raise RobotError(f"joint '{name}' mimics another; list its links in robot_frames instead")
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
