"""Markers of the safety node: capsules, closest points, zones and the answer."""

from __future__ import annotations

import numpy as np
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from ses_gcn_ros.nodes.markers import (
    LEVEL_COLOURS,
    SKELETON_COLOUR,
    MarkerBoard,
    capsule_markers,
    closest_pair_markers,
    solid_marker,
    text_marker,
)
from ses_gcn_ros.safety import Assessment, SeparationMonitor

ZONE_COLOUR = (0.55, 0.55, 0.60)


class SafetyDrawing:
    """Draws what a monitor knows and says.

    Parameters
    ----------
    watch : SeparationMonitor
    """

    def __init__(self, watch: SeparationMonitor) -> None:
        self._watch = watch
        self._board = MarkerBoard()

    def draw(self, header: Header, assessment: Assessment) -> MarkerArray:
        """Message that shows an assessment in the world frame."""
        level, markers = int(assessment.level), list[Marker]()
        people, robot = self._watch.tracks.people().limbs, self._watch.robot.state
        markers += capsule_markers(
            "people", people.start, people.end, people.radius, SKELETON_COLOUR
        )
        if robot is not None:
            radius, colour = self._watch.model.radius, LEVEL_COLOURS[level]
            markers += capsule_markers("robot", robot.start, robot.end, radius, colour)
            top = robot.start.max(axis=0) + np.array([0.0, 0.0, 0.5])
            text = f"{assessment.level.name} {assessment.speed_factor:.2f}"
            markers.append(text_marker("state", top, text, level))
            for zones in self._watch.zones.values():
                for zone, pose in zip(zones.zones, zones.poses(robot), strict=True):
                    acting = zone.name == assessment.zone
                    colour = LEVEL_COLOURS[level] if acting else ZONE_COLOUR
                    size = 2.0 * np.array(zone.half())
                    markers.append(
                        solid_marker(f"zone/{zone.name}", zone.shape, pose, size, colour)
                    )
        if assessment.pair is not None:
            pair = assessment.pair
            markers += closest_pair_markers(
                pair.human_point, pair.robot_point, assessment.separation, level
            )
        if assessment.predicted is not None:
            text = f"in {assessment.time_to_breach:.2f} s"
            place = assessment.predicted.place
            markers.append(text_marker("predicted", place, text, level))
        return self._board.show(header, markers)
