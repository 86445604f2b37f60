"""Parameters of the safety node and of the demo robot, and how lists of things are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from ses_gcn_ros.config import FAR, TURN, build, option
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import parse_yaml

SMALLEST = 1e-9  # of a margin that is there at all
MOST_AHEAD = 0.1  # s that a clock may be ahead of another that is synchronised

Corner = tuple[float, float]  # x and y [m]


@dataclass(frozen=True)
class SafetyConfig:
    """Parameters of separation monitoring; the defaults suit a slow cobot and a tracked person."""

    autostart: bool = option(True, "configure and activate at start, without a lifecycle manager")
    rate: float = option(
        50.0, "rate of the state and the speed factor [Hz]", minimum=5, maximum=500
    )
    reliability: str = option(
        "reliable",
        "of skeletons and forecasts; reliable never hears a best-effort publisher",
        choices=("reliable", "best_effort"),
    )
    redundant_skeletons: tuple[str, ...] = option(
        (),
        "further topics of skeletons, of cameras that watch the same cell: whoever is on any of "
        "them counts, and each has to come",
    )

    # The robot
    world_frame: str = option("world", "frame that everything is compared in; not moving")
    robot_description: str = option(
        "",
        "URDF file or text whose collision shapes are taken, 'demo' for the demo cell's; "
        "empty: robot_frames and robot_radii",
    )
    robot_frames: tuple[str, ...] = option(
        (), "with a URDF: its links to watch (empty: all that move); else frames joined to a chain"
    )
    robot_radii: tuple[float, ...] = option(
        (),
        "radius of the link from each frame to the next [m]; one value serves all",
        minimum=0.0,
        maximum=10.0,
    )
    more_robots: tuple[str, ...] = option(
        (),
        "further robots under the same factor, each a YAML mapping of description, frames, radii "
        "and frame_prefix",
    )
    tools: tuple[str, ...] = option(
        (),
        "capsules that a robot carries, each a YAML mapping of name, frame, start, end and radius",
    )
    robot_speed_max: float = option(
        1.0, "speed of the fastest point of the robot at factor 1 [m/s]", minimum=0.01, maximum=20
    )
    deceleration: float = option(
        3.0, "of that point while the robot brakes [m/s²]", minimum=0.1, maximum=100
    )
    stopping_time: float = option(
        0.0, "from any speed to rest [s]; above 0 it replaces deceleration", minimum=0, maximum=10
    )
    stopping_speeds: tuple[float, ...] = option(
        (),
        "speeds of the table of stopping times, which replaces both [m/s]",
        minimum=0.0,
        maximum=20.0,
    )
    stopping_times: tuple[float, ...] = option(
        (), "time to rest from each of them, payload after payload [s]", minimum=0.0, maximum=10.0
    )
    stopping_payloads: tuple[float, ...] = option(
        (),
        "payloads that the table has stopping times for [kg]; empty: one",
        minimum=0.0,
        maximum=10000.0,
    )
    payload: float = option(0.0, "payload that the robot carries [kg]", minimum=0, maximum=10000)
    ramp_down: float = option(
        0.0,
        "how fast the speed factor falls [1/s], for drivers that fault on a step, its time being "
        "part of T_r; 0: at once",
        minimum=0,
        maximum=100,
    )
    obedience_tolerance: float = option(
        0.05,
        "how much faster than the factor allows the robot may be measured before it is stopped as "
        "disobedient [m/s]; 0: nobody looks",
        minimum=0,
        maximum=1,
    )
    bridges: tuple[str, ...] = option(
        (),
        "nodes that carry the factor to the robots, such as robot_bridge; one that is silent or "
        "says that its driver fails is a stop",
    )
    bridge_age_max: float = option(
        0.1, "longest silence of one of them [s]", minimum=0.02, maximum=5
    )

    # Terms of the protective separation distance
    model: str = option(
        "formula",
        "what the speed is held against: the standard's formula, the sets that people and one "
        "robot can reach, or the stricter of both",
        choices=("formula", "reachable", "stricter"),
    )
    arm_acceleration: float = option(
        50.0, "highest acceleration of arms in reachable sets [m/s²]", minimum=0.1, maximum=1000
    )
    trunk_acceleration: float = option(
        20.0, "highest acceleration of the other limbs there [m/s²]", minimum=0.1, maximum=1000
    )
    reaction_time: float = option(
        0.15, "least T_r, image to braking [s]; measured latency may raise it", minimum=0, maximum=5
    )
    robot_reaction_time: float = option(
        0.05, "part of T_r after the speed factor is sent [s]", minimum=0, maximum=5
    )
    human_speed: float = option(
        1.6,
        "floor of v_h for trunk, head and legs [m/s] (ISO 13855: walking)",
        minimum=0,
        maximum=5,
    )
    arm_speed: float = option(
        2.0, "floor of v_h for arms and hands [m/s] (ISO 13855: reaching)", minimum=0, maximum=5
    )
    receding_credit: float = option(
        0.0,
        "share of a receding speed that is taken off these floors; above 0 nobody may turn around "
        "while the robot stops",
        minimum=0,
        maximum=1,
    )
    intrusion: float = option(0.1, "intrusion distance C [m]", minimum=0, maximum=2)
    human_uncertainty: float = option(
        0.05,
        "least position uncertainty of the person Z_d [m]; the skeletons' covariance may raise it",
        minimum=0,
        maximum=2,
    )
    uncertainty_coverage: float = option(
        0.95,
        "probability with which Z_d holds a joint by the skeletons' covariance",
        minimum=0.5,
        maximum=0.9999,
    )
    robot_uncertainty: float = option(
        0.01, "position uncertainty of the robot Z_r [m]", minimum=0, maximum=2
    )
    body_scale: float = option(
        1.0, "factor on the limbs' radii of a large adult", minimum=0.1, maximum=3
    )
    hand_reach: float = option(
        0.18,
        "how far a hand reaches beyond the wrist, where the layout has no tip of it [m]",
        minimum=0,
        maximum=1,
    )

    accept_reduced_safety: bool = option(
        False,
        "allow values that are less strict than ISO 13855 or leave a margin out; each is named in "
        "every state",
    )

    # Zones
    cell: tuple[float, ...] = option(
        (),
        "floor plan of the cell: corners x1, y1, x2, y2, … in world_frame [m]; whoever was last "
        "seen outside of it has left",
        minimum=-FAR,
        maximum=FAR,
    )
    zones: tuple[str, ...] = option(
        (), "boxes and cylinders with limits of their own, each a YAML mapping (docs/safety.md)"
    )

    # Decision
    slowdown_margin: float = option(
        0.1, "kept above the protective distance while slowing [m]", minimum=0, maximum=2
    )
    stop_factor: float = option(
        0.05, "a speed factor below it is a STOP", minimum=0.001, maximum=0.5
    )
    release_margin: float = option(
        0.05, "margin that a stop needs before it is released [m]", minimum=0, maximum=2
    )
    release_time: float = option(
        0.5, "how long a stop's cause must be gone before release [s]", minimum=0, maximum=60
    )
    recovery_rate: float = option(
        1.0, "how fast the speed factor may rise [1/s]; it falls at once", minimum=0.01, maximum=100
    )
    factor_step: float = option(
        0.01, "least rise of the speed factor; it falls in any step", minimum=0, maximum=0.5
    )
    latch_stops: bool = option(False, "a stop, also that at start, holds until ~/reset is called")

    disabled_factor: float = option(
        0.0,
        "speed factor while ~/enable has switched monitoring off; 0: it can't be",
        minimum=0,
        maximum=1,
    )
    disable_timeout: float = option(
        30.0, "after which monitoring comes on again by itself [s]", minimum=1, maximum=3600
    )

    # Prediction
    prediction: str = option(
        "first_contact",
        "what a forecast slows for: the first contact of inflated capsules, or the first step "
        "whose probability of contact exceeds contact_risk",
        choices=("first_contact", "probability"),
    )
    contact_risk: float = option(
        0.01, "probability of contact at a step that is let pass", minimum=1e-6, maximum=1.0
    )
    prediction_horizon: float = option(
        1.0, "how far ahead forecasts are held against the robot [s]", minimum=0, maximum=10
    )
    forecast_lost_factor: float = option(
        0.0, "speed factor while forecasts are missing or stale; 0: STOP", minimum=0, maximum=1
    )

    joint_states: str = option(
        "joint_states",
        "topic of the robot's joints, which predict its motion where robot_description is given; "
        "empty: its transforms do",
    )
    trajectory: str = option(
        "", "topic on which a planner says where the robot is going; empty: none"
    )
    trajectory_type: str = option(
        "trajectory_msgs/msg/JointTrajectory",
        "message type of that topic",
        choices=("trajectory_msgs/msg/JointTrajectory", "moveit_msgs/msg/DisplayTrajectory"),
    )

    # Outputs
    speed_scaling_input: str = option(
        "",
        "topic for control_msgs/SpeedScalingFactor, such as a trajectory controller's "
        "speed_scaling_input; empty: none",
    )
    event_log: str = option(
        "", "file that every change of the answer is appended to as a line of JSON; empty: none"
    )
    audit_log: str = option(
        "",
        "file of a chained log of changes, resets, parameters, starts and stops, which 'ses-gcn "
        "audit verify' checks; empty: none",
    )
    audit_log_size: float = option(
        16.0, "from which on a new file is begun [MB]; none is deleted", minimum=0.01, maximum=1e5
    )

    # Watchdogs
    skeleton_age_max: float = option(
        0.25, "oldest skeletons that are trusted [s]", minimum=0.01, maximum=5
    )
    forecast_age_max: float = option(
        0.3, "oldest forecasts that are trusted [s]", minimum=0.01, maximum=5
    )
    action_limits: tuple[str, ...] = option(
        (),
        "highest factor while somebody does something, each LABEL: FACTOR as 'hand_over: 0.3'; the "
        "lowest of them while actions are missing or old",
    )
    action_age_max: float = option(
        0.5, "oldest actions that are trusted, with action_limits [s]", minimum=0.01, maximum=5
    )
    tf_age_max: float = option(
        0.2, "oldest robot pose that is trusted [s]", minimum=0.01, maximum=5
    )
    future_tolerance: float = option(
        0.05,
        "how far ahead of the clock a stamp may be, which hides as much latency [s]",
        minimum=0,
        maximum=1,
    )
    frozen_time: float = option(
        1.0,
        "joints that repeat to the bit for so long are a stuck sensor [s]; 0: off",
        minimum=0,
        maximum=5,
    )
    input_rate_max: float = option(
        120.0,
        "of skeletons, and of forecasts, before it is a flood [Hz]; 0: off",
        minimum=0,
        maximum=10000,
    )
    clock_jump: float = option(
        0.5,
        "how far the clock may run ahead of real time between two states [s]",
        minimum=0.01,
        maximum=60,
    )
    loop_time_max: float = option(
        0.2, "longest real time between two states of this node [s]", minimum=0.01, maximum=5
    )
    input_deadline: float = option(
        0.0,
        "DDS deadline asked of skeletons and forecasts [s]; 0: none; who offers none isn't heard",
        minimum=0,
        maximum=5,
    )
    input_lease: float = option(
        0.0,
        "DDS liveliness lease asked of them [s]; 0: none; who offers none isn't heard",
        minimum=0,
        maximum=60,
    )
    forget_after: float = option(
        0.0,
        "after which somebody lost is taken to be gone [s], where other protection sees to that; "
        "0: never",
        minimum=0,
        maximum=3600,
    )
    recognise_build: float = option(
        0.0,
        "share by which limbs may differ of somebody new who is taken for the one who was lost; "
        "0: nobody is told by their build",
        minimum=0,
        maximum=0.2,
    )
    replay: bool = option(
        False, "recordings are played back and no robot obeys: the clock may run at any rate"
    )

    def __hash__(self) -> int:
        """Of one parameter: to hash all takes longer than what is looked up by them."""
        return hash(self.robot_speed_max)

    def reductions(self) -> tuple[str, ...]:
        """What these parameters leave out of what ISO 13855 and ISO/TS 15066 ask for, in words."""
        least = {
            "human_speed": 1.6,
            "arm_speed": 2.0,
            "body_scale": 0.8,
            "intrusion": SMALLEST,
            "human_uncertainty": SMALLEST,
            "robot_uncertainty": SMALLEST,
            "reaction_time": SMALLEST,
        }
        found = [
            f"{name} is {getattr(self, name):g}" + (f", below {value:g}" if value >= 0.1 else "")
            for name, value in least.items()
            if getattr(self, name) < value
        ]
        if self.future_tolerance > MOST_AHEAD:
            found.append(f"future_tolerance is {self.future_tolerance:g}, above {MOST_AHEAD:g}")
        if self.receding_credit > 0.0:
            found.append(f"receding_credit is {self.receding_credit:g}")
        if self.recognise_build > 0.0:
            found.append("lost people are told by their build")
        if self.forget_after > 0.0:
            found.append(f"lost people are forgotten after {self.forget_after:g} s")
        return tuple(found)

    def check(self) -> None:
        """Check what single ranges can't.

        Raises ConfigError if the parameters reduce safety and nobody said that this is accepted, or
        the cell's floor plan has no area or crosses itself.
        """
        reductions = self.reductions()
        if reductions and not self.accept_reduced_safety:
            raise ConfigError(
                f"{'; '.join(reductions)}: set accept_reduced_safety to true if that is meant"
            )
        topics = ("skeletons", *self.redundant_skeletons)
        if len(set(topics)) < len(topics) or "" in topics:
            raise ConfigError(
                f"redundant_skeletons is {list(self.redundant_skeletons)}; it takes topics besides "
                "'skeletons', each once"
            )
        if len(self.cell) % 2 or 0 < len(self.cell) < 6:
            raise ConfigError(
                f"cell has {len(self.cell)} numbers; it takes x and y of three corners or more"
            )
        if self.cell and not _bounds_an_area(self.cell):
            raise ConfigError(
                f"cell is {list(self.cell)}, whose border crosses itself or bounds no area; give "
                "its corners one after the other, as one walks around it"
            )


def _bounds_an_area(cell: Sequence[float]) -> bool:
    """Whether corners x1, y1, x2, y2, … bound an area by edges that do not cross."""
    corners = list(zip(cell[::2], cell[1::2], strict=True))
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))

    def parts(edge: tuple[Corner, Corner], other: tuple[Corner, Corner]) -> bool:
        """Whether the line of an edge has the ends of another on different sides."""
        (x, y), (u, v) = edge
        a, b = ((u - x) * (q - y) - (v - y) * (p - x) for p, q in other)
        return a * b < 0.0

    area = sum(x * v - y * u for (x, y), (u, v) in edges)
    crossed = any(parts(one, other) and parts(other, one) for one, other in combinations(edges, 2))
    return abs(area) > SMALLEST and not crossed


@dataclass(frozen=True)
class DemoRobotConfig:
    """Parameters of the demo robot, which sweeps between two poses."""

    autostart: bool = option(True, "configure and activate at start, without a lifecycle manager")
    rate: float = option(
        100.0, "rate of joint states and transforms [Hz]", minimum=10, maximum=1000
    )
    robot_description: str = option("demo", "URDF file or text, or 'demo' for the demo cell's")
    pose_a: tuple[float, ...] = option(
        (-0.5, 0.65, 0.0, 1.15, 0.0, 0.70, 0.0),
        "joint angles at one end [rad]",
        minimum=-TURN,
        maximum=TURN,
    )
    pose_b: tuple[float, ...] = option(
        (0.5, 0.55, 0.0, 1.05, 0.0, 0.75, 0.0),
        "joint angles at the other end [rad]",
        minimum=-TURN,
        maximum=TURN,
    )
    period: float = option(
        4.0, "time from one end to the other and back at full speed [s]", minimum=0.5, maximum=600
    )
    stop_time: float = option(
        0.3, "from full speed to rest when the factor falls to 0 [s]", minimum=0.01, maximum=10
    )
    heartbeat: float = option(
        0.2, "longest silence of speed_scaling before the robot stops [s]", minimum=0.02, maximum=10
    )
    driver: str = option(
        "",
        "obey a simulation of this driver instead of speed_scaling, by the names that robot_bridge "
        "has for them; empty: speed_scaling",
    )
    driver_namespace: str = option("", "namespace of that driver's topics and services")


T = TypeVar("T")


def read_entries(parameter: str, entries: Sequence[str], kind: type[T]) -> list[T]:
    """Read the entries of a parameter as configurations of one kind.

    A list of mappings is what a ROS parameter can't hold, so each is a string such as
    ``"{name: door, shape: box, size: [1, 0.2, 2]}"``.

    Raises ConfigError if an entry is no mapping, or has an unknown key, a wrong type or a value out
    of range.
    """
    things = []
    for number, text in enumerate(entries):
        try:
            values = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"{parameter}[{number}] '{text}' is no YAML: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(
                f"{parameter}[{number}] is '{text}'; it takes a mapping such as "
                "'{name: …, frame: …}'"
            )
        try:
            things.append(build(kind, values))
        except ConfigError as error:
            raise ConfigError(f"{parameter}[{number}]: {error}") from error
    return things


def check_lengths(label: str, **values: Sequence[float]) -> None:
    """Raise ConfigError unless each of some lists has three numbers."""
    for name, value in values.items():
        if len(value) != 3:
            raise ConfigError(f"{label}: {name} is {list(value)}; it takes 3 numbers")
