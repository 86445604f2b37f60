"""The robot as capsules in frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError, RobotError
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.urdf import Urdf

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RobotModel:
    """M capsules whose ends are fixed in F frames.

    Attributes
    ----------
    frames : tuple of str
        Names of the F frames that have to be looked up.
    names : tuple of str
        Frame that each of the M capsules is reported under.
    start_frame, end_frame : ndarray of int, shape (M,)
        Index of the frame that the start and the end of each axis is fixed in.
    start, end : ndarray, shape (M, 3)
        The ends in those frames [m].
    radius : ndarray, shape (M,)
        Radii [m].
    """

    frames: tuple[str, ...]
    names: tuple[str, ...]
    start_frame: NDArray[np.int64]
    end_frame: NDArray[np.int64]
    start: Array
    end: Array
    radius: Array

    @classmethod
    def from_frames(cls, frames: Sequence[str], radii: Sequence[float]) -> RobotModel:
        """Join frames to a chain: capsule i leads from the origin of frame i to that of i + 1.

        Raises
        ------
        ConfigError
            If there are fewer than two frames, or not one radius per link.
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

        Parameters
        ----------
        urdf : Urdf
        links : sequence of str
            Links to watch; all that move against the root by default.

        Raises
        ------
        RobotError
            If a link is unknown, or none of them has a shape.
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
        )

    def with_frames(self, frames: Sequence[str]) -> RobotModel:
        """Look up more frames, such as those that zones are fixed in."""
        return dataclasses.replace(self, frames=tuple(dict.fromkeys((*self.frames, *frames))))

    def prefixed(self, prefix: str) -> RobotModel:
        """The same under other names, as TF has them for the second robot of a kind."""
        return dataclasses.replace(
            self,
            frames=tuple(prefix + frame for frame in self.frames),
            names=tuple(prefix + name for name in self.names),
        )
