"""Zones: boxes and cylinders in any frame, each with limits of its own while somebody is inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.config import FAR, TURN, option
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.config import SafetyConfig, check_lengths, read_entries
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.geometry import Solids, pose_from_xyz_rpy, solid_distances
from ses_gcn_ros.safety.people import People
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.robot_motion import RobotState
from ses_gcn_ros.safety.separation import STILL, StoppingTable, allowed_speed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Zone:
    """An entry of the parameter `zones`."""

    name: str = option("", "named in the reasons and in the state")
    applies_to: str = option(
        "person", "who must not be inside unlimited", choices=("person", "robot")
    )
    shape: str = option("box", "box or cylinder along z", choices=("box", "cylinder"))
    frame: str = option("", "TF frame that it is fixed in; empty: world_frame")
    position: tuple[float, ...] = option(
        (0.0, 0.0, 0.0), "of its centre in that frame [m]", minimum=-FAR, maximum=FAR
    )
    rpy: tuple[float, ...] = option(
        (0.0, 0.0, 0.0), "roll, pitch and yaw in that frame [rad]", minimum=-TURN, maximum=TURN
    )
    size: tuple[float, ...] = option((), "edges of a box [m]", minimum=0.0, maximum=FAR)
    radius: float = option(0.0, "of a cylinder [m]", minimum=0.0, maximum=FAR)
    height: float = option(0.0, "of a cylinder [m]", minimum=0.0, maximum=FAR)
    factor: float = option(
        0.0, "highest speed factor while one is inside; 0: STOP", minimum=0.0, maximum=1.0
    )
    human_speed: float = option(
        0.0, "raises the floor of v_h for limbs inside [m/s]", minimum=0.0, maximum=5.0
    )

    def half(self) -> tuple[float, float, float]:
        """Half its edges, or radius, radius and half the height [m].

        Raises ConfigError if it has no name or no size, or a list of the wrong length.
        """
        if not self.name:
            raise ConfigError("a zone has no name; give each one")
        label = f"zone '{self.name}'"
        check_lengths(label, position=self.position, rpy=self.rpy)
        if self.shape == "box":
            check_lengths(label, size=self.size)
            x, y, z = (0.5 * edge for edge in self.size)
        else:
            x, y, z = self.radius, self.radius, 0.5 * self.height
        if min(x, y, z) <= 0:
            takes = "size: [x, y, z]" if self.shape == "box" else "radius and height"
            raise ConfigError(f"{label} has no volume; a {self.shape} takes {takes} above 0")
        return x, y, z

    def pose(self) -> Array:
        """frame_from_zone, (4, 4)."""
        return pose_from_xyz_rpy(self.position, self.rpy)


class Zones:
    """All zones of one kind of intruder.

    `zones`: those for people, or those for the robot.
    `model`: knows the frames of the zones, besides the robot's own.
    """

    def __init__(self, zones: Sequence[Zone], model: RobotModel) -> None:
        self.zones = tuple(zones)
        self._solids = Solids(
            np.array([zone.half() for zone in zones]).reshape(-1, 3),
            np.array([zone.shape == "cylinder" for zone in zones], dtype=bool),
        )
        self._fixed = np.array([zone.pose() for zone in zones]).reshape(-1, 4, 4)
        self._frames = [model.frames.index(zone.frame) if zone.frame else -1 for zone in zones]
        self._model = model

    def __len__(self) -> int:
        return len(self.zones)

    def poses(self, robot: RobotState) -> Array:
        """world_from_zone, (Z, 4, 4)."""
        frames = np.concatenate([robot.poses, np.eye(4)[None]])
        return np.asarray(frames[self._frames] @ self._fixed)

    def inverse_poses(self, robot: RobotState) -> Array:
        """zone_from_world, (Z, 4, 4)."""
        return np.asarray(np.linalg.inv(self.poses(robot)), np.float64)

    def check_people(
        self, people: People, growth: Array, robot: RobotState
    ) -> tuple[list[Limit], Array]:
        """Limits of the zones that somebody is in, and the floors of v_h that they ask for.

        `growth` (N,): how far each limb may have moved unseen [m].
        `robot`: says where the frames are.
        Gives a limit per zone and person, and speeds (N,) [m/s], 0 for limbs in no zone.
        """
        limbs = people.limbs
        reach = limbs.radius + growth
        distance, _, _ = solid_distances(
            self._solids, self.inverse_poses(robot), limbs.start, limbs.end, reach
        )
        depth = reach - distance  # NaN, and so not inside, for unplaced limbs
        inside = depth >= 0.0
        floors = np.where(inside, [[zone.human_speed] for zone in self.zones], 0.0).max(axis=0)
        limits = []
        for number in np.flatnonzero(inside.any(axis=1)).tolist():
            zone = self.zones[number]
            for person in np.unique(people.person[inside[number]]).tolist():
                limb = int(np.where(people.person == person, depth[number], -np.inf).argmax())
                reason = f"zone {zone.name}: person {people.ids[person]}: {limbs.names[limb]} in it"
                limits.append(Limit(zone.factor, reason, zone.name))
        return limits, floors

    def check_robot(
        self,
        config: SafetyConfig,
        robot: RobotState,
        start: Array,
        end: Array,
        table: StoppingTable,
        reaction_time: float,
        reach: float,
    ) -> list[Limit]:
        """Limits that keep the robot's links out, or slow while they are inside.

        `start`, `end` (M, 3): its capsules now [m].
        `reaction_time`: until the robot brakes [s].
        `reach`: distance that it takes from the highest speed [m].
        """
        distance, fraction, normal = solid_distances(
            self._solids, self.inverse_poses(robot), start, end, self._model.radius + reach
        )
        distance = np.maximum(distance - self._model.radius, 0.0)
        velocity = robot.start_velocity + fraction[..., None] * (
            robot.end_velocity - robot.start_velocity
        )
        towards = np.einsum("zmk,zmk->zm", velocity, normal)
        speed = np.linalg.norm(velocity, axis=-1)
        unknown = np.isnan(speed)
        share = np.where(unknown, 1.0, (towards + STILL) / (speed + STILL))
        factor = np.ones_like(distance)
        for number, link in np.argwhere(share > 0.0).tolist():
            # of the way that the whole robot needs to stop, the link's share leads to the zone
            room = (distance[number, link] - config.robot_uncertainty) / share[number, link]
            may = allowed_speed(room, human_speed=0.0, reaction_time=reaction_time, table=table)
            factor[number, link] = may / config.robot_speed_max
        limits = []
        for number, zone in enumerate(self.zones):
            inside = distance[number] <= 0.0
            each = np.where(inside, zone.factor, np.maximum(factor[number], zone.factor))
            link = int(each.argmin())
            if each[link] < 1.0:
                name = self._model.names[link]
                where = "in it" if inside[link] else f"at {distance[number, link]:.2f} m"
                limits.append(
                    Limit(float(each[link]), f"zone {zone.name}: {name} {where}", zone.name)
                )
        return limits


def read_zones(entries: Sequence[str], world_frame: str) -> list[Zone]:
    """Zones of the parameter `zones`.

    Raises ConfigError if an entry can't be used, or two have one name.
    """
    zones = read_entries("zones", entries, Zone)
    names = [zone.name for zone in zones]
    for zone in zones:
        zone.half()  # raises what is wrong with it
        if names.count(zone.name) > 1:
            raise ConfigError(f"zones has two entries '{zone.name}'; give each its own name")
    return [
        dataclasses.replace(zone, frame="") if zone.frame == world_frame else zone for zone in zones
    ]
