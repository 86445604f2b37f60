"""Drawings for RViz: stable ids, lifetimes, and a DELETE for whatever is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from ses_gcn_ros.skeleton import Skeleton, get_layout

if TYPE_CHECKING:
    from ses_gcn_ros.actions.recogniser import Action
    from ses_gcn_ros.forecast import Forecast
    from ses_gcn_ros.safety import Assessment, SeparationMonitor

LIFETIME = Duration(nanosec=500_000_000)  # a drawing outlives its node by no more than this
SKELETON_COLOUR = (0.10, 0.45, 0.80)
FORECAST_COLOUR = (0.90, 0.45, 0.05)
LEVEL_COLOURS = ((0.10, 0.62, 0.47), (0.90, 0.62, 0.00), (0.84, 0.15, 0.16))  # CLEAR REDUCED STOP
ZONE_COLOUR = (0.55, 0.55, 0.60)
_WIDEST = 0.25  # m of a tube that is drawn; a wider one would hide the cell
_DRAWN_STEPS = 6  # of a forecast; more is a fog


class MarkerBoard:
    """One marker topic: knows what it showed last and deletes what is no longer drawn."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def show(self, header: Header, markers: Iterable[Marker]) -> MarkerArray:
        """Message that draws `markers` and removes what was drawn before and isn't now."""
        drawn = list(markers)
        for marker in drawn:
            marker.header = header
            marker.lifetime = LIFETIME
        now = {(marker.ns, marker.id) for marker in drawn}
        gone = [
            Marker(header=header, ns=ns, id=number, action=Marker.DELETE)
            for ns, number in sorted(self._shown - now)
        ]
        self._shown = now
        return MarkerArray(markers=gone + drawn)


def skeleton_markers(people: Sequence[Skeleton]) -> list[Marker]:
    """Limbs as lines, joints as balls and the name above the head of each person."""
    markers = []
    for person in people:
        limbs = np.asarray(get_layout(person.layout).limbs)
        colour = _colour(SKELETON_COLOUR)
        seen = person.positions[np.isfinite(person.positions).all(axis=1)]
        lines = _lines(person.positions[None], limbs)
        ns = f"person/{person.person_id}"
        markers.append(_marker(ns, 0, Marker.LINE_LIST, 0.03, colour, points=_points(lines)))
        markers.append(_marker(ns, 1, Marker.SPHERE_LIST, 0.05, colour, points=_points(seen)))
        if len(seen):
            top = seen[np.argmax(seen[:, 2])]
            markers.append(_text(ns, 2, top, 0.25, person.person_id))
    return markers


def forecast_markers(forecasts: Sequence[Forecast]) -> list[Marker]:
    """Skeletons to come, paler the later, and tubes that hands, feet and head are to stay in."""
    markers = []
    for forecast in forecasts:
        limbs = np.asarray(get_layout(forecast.layout).limbs)
        horizon = len(forecast.positions)
        steps = np.unique(np.linspace(0, horizon - 1, _DRAWN_STEPS).round().astype(int))
        ns = f"person/{forecast.person_id}"
        for number, step in enumerate(steps):
            colour = _colour(FORECAST_COLOUR, 0.9 * (1.0 - step / horizon) + 0.1)
            lines = _lines(forecast.positions[step : step + 1], limbs)
            markers.append(
                _marker(ns, number, Marker.LINE_LIST, 0.02, colour, points=_points(lines))
            )
        ends = _ends_of_limbs(forecast.layout)
        way = forecast.positions[steps][:, ends]
        radius = np.minimum(forecast.radius[steps[1:]][:, ends], _WIDEST)
        markers += capsule_markers(
            f"{ns}/tube",
            way[:-1].reshape(-1, 3),
            way[1:].reshape(-1, 3),
            radius.ravel(),
            FORECAST_COLOUR,
            alpha=0.07,
        )
    return markers


def action_markers(
    people: Sequence[Skeleton], actions: Sequence[Action], joints: Sequence[str]
) -> list[Marker]:
    """What each person does above the head, and the joints that told it, redder the more they did.

    `joints` are the canonical names of those that the importances are of.
    """
    by_id = {person.person_id: person for person in people}
    markers = []
    for action in actions:
        person = by_id.get(action.person_id)
        if person is None:
            continue
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(person.positions).all(axis=1))
        if not seen.any():
            continue
        top = person.positions[np.nanargmax(person.positions[:, 2])]
        ns = f"person/{action.person_id}/action"
        text = f"{action.label} {100 * action.probability:.0f} %"
        markers.append(_text(ns, 0, top, 0.4, text))
        names = get_layout(person.layout).canonical
        strongest = max(float(action.importance.max(initial=0)), 1e-6)
        for number, share in enumerate(action.importance / strongest):
            index = names.index(joints[number]) if joints[number] in names else -1
            if index >= 0 and seen[index]:
                colour = _colour((1.0, 1.0 - float(share), 0.0), 0.3 + 0.7 * float(share))
                ball = _marker(ns, number + 1, Marker.SPHERE, 0.08, colour)
                ball.pose.position = _point(person.positions[index])
                markers.append(ball)
    return markers


def capsule_markers(
    ns: str,
    starts: NDArray[np.floating],
    ends: NDArray[np.floating],
    radii: NDArray[np.floating],
    colour: tuple[float, float, float],
    alpha: float = 0.35,
) -> list[Marker]:
    """Capsules as cylinders with balls at their ends; two markers each.

    `starts`, `ends` (L, 3): ends of the axes [m].
    `radii` (L,) [m].
    `colour`: red, green, blue, 0 to 1.
    `alpha`: opacity, 0 to 1.
    """
    markers = []
    axes = ends - starts
    lengths = np.linalg.norm(axes, axis=1)
    turns, centres = _turns_along(axes), (starts + ends) / 2.0
    paint = _colour(colour, alpha)
    for index in np.flatnonzero(np.isfinite(lengths)).tolist():
        diameter = 2.0 * float(radii[index])
        body = _marker(ns, 2 * index, Marker.CYLINDER, diameter, paint)
        body.scale.z = float(lengths[index])
        x, y, z, w = turns[index].tolist()
        body.pose = Pose(
            position=_point(centres[index]), orientation=Quaternion(x=x, y=y, z=z, w=w)
        )
        caps = _points(np.stack([starts[index], ends[index]]))
        markers += [body, _marker(ns, 2 * index + 1, Marker.SPHERE_LIST, diameter, paint, caps)]
    return markers


def closest_pair_markers(
    human: NDArray[np.floating], robot: NDArray[np.floating], separation: float, level: int
) -> list[Marker]:
    """Line between the closest points of person and robot, (3,) each [m], with the distance."""
    colour = LEVEL_COLOURS[level]
    ends = _points(np.stack([human, robot]))
    line = _marker("closest", 0, Marker.LINE_LIST, 0.015, _colour(colour), ends)
    return [line, _text("closest", 1, (human + robot) / 2.0, 0.1, f"{separation:.2f} m", colour)]


def solid_marker(
    ns: str,
    shape: str,
    pose: NDArray[np.floating],
    size: NDArray[np.floating],
    colour: tuple[float, float, float],
) -> Marker:
    """See-through box, or cylinder along z, at world_from_solid (4, 4), of a size (3,) [m]."""
    kind = Marker.CYLINDER if shape == "cylinder" else Marker.CUBE
    marker = _marker(ns, 0, kind, 1.0, _colour(colour, 0.15))
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
    marker.pose = Pose(position=_point(pose[:3, 3]), orientation=Quaternion(x=x, y=y, z=z, w=w))
    marker.scale = Vector3(x=float(size[0]), y=float(size[1]), z=float(size[2]))
    return marker


class SafetyDrawing:
    """Draws what a monitor knows and says."""

    def __init__(self, monitor: SeparationMonitor) -> None:
        self._monitor = monitor
        self._board = MarkerBoard()

    def draw(self, header: Header, assessment: Assessment) -> MarkerArray:
        """Message that shows an assessment in the world frame."""
        level, markers = int(assessment.level), list[Marker]()
        people, robot = self._monitor.tracks.people().limbs, self._monitor.robot.state
        markers += capsule_markers(
            "people", people.start, people.end, people.radius, SKELETON_COLOUR
        )
        if robot is not None:
            # a little wider than the robot's own surfaces, which would flicker through
            radius, colour = self._monitor.model.radius + 0.005, LEVEL_COLOURS[level]
            markers += capsule_markers("robot", robot.start, robot.end, radius, colour)
            text = f"{assessment.level.name} {assessment.speed_factor:.2f}"
            markers.append(_text("state", 0, robot.start.max(axis=0), 0.5, text, colour, 0.15))
            for zones in self._monitor.zones.values():
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
            text, place = f"in {assessment.time_to_breach:.2f} s", assessment.predicted.place
            above = 0.3  # clear of the distance
            markers.append(_text("predicted", 0, place, above, text, LEVEL_COLOURS[level], 0.15))
        return self._board.show(header, markers)


def _ends_of_limbs(layout_name: str) -> list[int]:
    """Joints that limbs end in: hands, feet, head."""
    layout = get_layout(layout_name)
    starts = {first for first, _ in layout.limbs}
    return sorted({last for _, last in layout.limbs} - starts)


def _marker(
    ns: str,
    number: int,
    kind: int,
    size: float,
    colour: ColorRGBA,
    points: list[Point] | None = None,
) -> Marker:
    return Marker(
        ns=ns,
        id=number,
        type=kind,
        action=Marker.ADD,
        pose=Pose(orientation=Quaternion(w=1.0)),
        scale=Vector3(x=size, y=size, z=size),
        color=colour,
        points=points or [],
    )


def _text(
    ns: str,
    number: int,
    place: NDArray[np.floating],
    above: float,
    text: str,
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0),
    size: float = 0.12,
) -> Marker:
    """Text of a size [m] so far `above` a place (3,) [m]."""
    marker = _marker(ns, number, Marker.TEXT_VIEW_FACING, size, _colour(colour))
    marker.pose.position = _point(place + np.array([0.0, 0.0, above]))
    marker.text = text
    return marker


def _colour(rgb: tuple[float, float, float], alpha: float = 1.0) -> ColorRGBA:
    return ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=float(alpha))


def _lines(positions: NDArray[np.floating], limbs: NDArray[np.integer]) -> NDArray[np.floating]:
    """Ends of the seen limbs of skeletons (S, J, 3), two rows a limb."""
    ends = positions[:, limbs].reshape(-1, 2, 3)
    return ends[np.isfinite(ends).all(axis=(1, 2))].reshape(-1, 3)


def _points(positions: NDArray[np.floating]) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in positions.tolist()]


def _point(position: NDArray[np.floating]) -> Point:
    x, y, z = (float(value) for value in position)
    return Point(x=x, y=y, z=z)


def _turns_along(axes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Quaternions (L, 4), x y z w, that turn the z axis into the direction of each axis (L, 3)."""
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    x, y, z = (axes / np.maximum(lengths, 1e-9)).T
    # half-way between z and the axis; straight down, where there is none, about x
    quaternions = np.stack([-y, x, np.zeros_like(x), 1.0 + z], axis=1)
    quaternions[z < -1.0 + 1e-9] = (1.0, 0.0, 0.0, 0.0)
    return quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
