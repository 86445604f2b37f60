"""Capsules that contain the shapes of a robot's links."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import RobotError

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

    Parameters
    ----------
    filename : str
        Path, ``file://`` or ``package://`` address.
    folder : Path, optional
        Where a relative path begins.
    link : str
        Whose mesh it is, for messages.

    Raises
    ------
    RobotError
        If the file can't be found or read, or trimesh isn't installed.
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
