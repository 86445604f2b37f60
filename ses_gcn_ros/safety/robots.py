"""The robots of a cell and the tools they carry, from parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.entries import check_lengths, read_entries
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.urdf import Urdf


@dataclass(frozen=True)
class Tool:
    """An entry of the parameter `tools`: a capsule that a robot carries, fixed in a TF frame."""

    name: str = option("", "named in the reasons as a link is")
    frame: str = option("", "TF frame that it is fixed in")
    start: tuple[float, ...] = option((0.0, 0.0, 0.0), "one end of its axis in that frame [m]")
    end: tuple[float, ...] = option((0.0, 0.0, 0.0), "the other end [m]; the same for a ball")
    radius: float = option(0.0, "[m]", minimum=0.0)

    def model(self) -> RobotModel:
        """The tool as a robot of one capsule.

        Raises
        ------
        ConfigError
            If it lacks a name, a frame or a radius, or an end has not three coordinates.
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
    radii: tuple[float, ...] = option((), "as robot_radii", minimum=0.0)
    frame_prefix: str = option("", "before the names of a URDF's links in TF, such as 'left_'")


@dataclass(frozen=True, eq=False)
class Robots:
    """Capsules of all robots and their tools, and the description of the first robot."""

    model: RobotModel
    urdf: Urdf | None


def read_robots(config: SafetyConfig) -> Robots:
    """Read the robots and tools that are watched.

    Raises
    ------
    ConfigError
        If a parameter can't be used.
    RobotError
        If a description can't be used.
    """
    urdf = Urdf.load(config.robot_description) if config.robot_description else None
    model = _robot(urdf, config.robot_frames, config.robot_radii)
    for robot in read_entries("more_robots", config.more_robots, FurtherRobot):
        described = Urdf.load(robot.description) if robot.description else None
        other = _robot(described, robot.frames, robot.radii)
        model = model.joined(other.prefixed(robot.frame_prefix))
    for tool in read_entries("tools", config.tools, Tool):
        model = model.joined(tool.model())
    return Robots(model, urdf)


def _robot(urdf: Urdf | None, frames: tuple[str, ...], radii: tuple[float, ...]) -> RobotModel:
    if urdf is not None:
        return RobotModel.from_urdf(urdf, frames)
    return RobotModel.from_frames(frames, radii)
