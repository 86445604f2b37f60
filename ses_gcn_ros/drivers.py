"""How a speed factor reaches a robot: what each driver takes, on a ramp, until it holds.

A factor that falls from 1 to 0 in one step makes a trajectory controller freeze its set-point in
one cycle, which drives report as a fault. So a factor goes down a ramp no steeper than the braking
that the safety node reckons with; and since a small factor holds no robot, a stop ends in what does
hold that driver's. Interfaces are those of the drivers' public message and service definitions, as
of November 2026 (docs/robots.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ConfigError

Number = bool | int | float


@dataclass(frozen=True)
class Call:
    """A message to publish or a service to call."""

    name: str  # topic or service, relative to the driver's namespace unless it begins with a slash
    type: str  # such as ``std_srvs/srv/Trigger``; ``/srv/`` makes it a service
    fields: tuple[tuple[str, Number], ...] = ()  # values of its fields that are not their defaults

    @property
    def is_service(self) -> bool:
        """Whether an answer comes."""
        return "/srv/" in self.type


PATIENCE = 10  # times `answer_within` that an answer may still come which hurries nobody
SLIDER, PAUSE, CANCEL, STOP = MEANS = "slider", "pause", "cancel", "stop_service"  # ever harder


@dataclass(frozen=True)
class Hold:
    """A call that holds a robot: which of the `MEANS` it is, and what lets the robot go again."""

    means: str
    call: Call
    resume: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Driver:
    """What one family of drivers takes."""

    factor: Call  # carries the factor in `field`, times `scale`
    field: str
    scale: float = 1.0  # 1 for a share, 100 for per cent
    # whether the field is an integer; it is rounded down, so that nobody is faster than allowed
    whole: bool = False
    lowest: float = 0.0  # smallest factor above 0 that is sent; below it the robot is held
    zero: bool = True  # whether a factor of 0 is sent, and holds the robot
    holds: tuple[Hold, ...] = ()  # what truly holds it otherwise, or harder, ever harder
    # where the goals come from that `CANCEL` cancels; empty where that is for the user to say
    action: str = ""

    def carrying(self, factor: float) -> Call:
        """Call that carries a factor, 0 to 1."""
        value: float = factor * self.scale
        # a hair up, so that 0.29 * 100 is 29
        number = int(value + 1e-9) if self.whole else value
        return replace(self.factor, fields=(*self.factor.fields, (self.field, number)))


_TRIGGER = "std_srvs/srv/Trigger"
_PLAY = (Call("/dashboard_client/play", _TRIGGER),)
_START = (Call("start_rapid", "abb_robot_msgs/srv/TriggerWithResultCode"),)
_RESUME = (Call("motion/move_resume", "dsr_msgs2/srv/MoveResume"),)
DRIVERS: Mapping[str, Driver] = MappingProxyType(
    {
        # refuses a slider under 0.01, and one near 0 has caused protective stops
        "ur": Driver(
            Call(
                "/io_and_status_controller/set_speed_slider", "ur_msgs/srv/SetSpeedSliderFraction"
            ),
            "speed_slider_fraction",
            lowest=0.05,
            zero=False,
            holds=(
                Hold(PAUSE, Call("/dashboard_client/pause", _TRIGGER), _PLAY),
                Hold(STOP, Call("/io_and_status_controller/hand_back_control", _TRIGGER), _PLAY),
                Hold(STOP, Call("/dashboard_client/stop", _TRIGGER), _PLAY),
            ),
            action="/scaled_joint_trajectory_controller/follow_joint_trajectory",
        ),
        # joint_trajectory_controller from Jazzy on; position commands alone; 0 pauses it
        "jtc": Driver(
            Call("speed_scaling_input", "control_msgs/msg/SpeedScalingFactor"),
            "factor",
            action="follow_joint_trajectory",
        ),
        "fanuc": Driver(
            Call("speed_scaling_factor", "std_msgs/msg/Int32"), "data", scale=100, whole=True
        ),
        "abb": Driver(
            Call("set_speed_ratio", "abb_robot_msgs/srv/SetSpeedRatio"),
            "speed_ratio",
            scale=100,
            whole=True,
            lowest=0.01,
            zero=False,
            holds=(
                Hold(PAUSE, Call("stop_rapid", "abb_robot_msgs/srv/TriggerWithResultCode"), _START),
            ),
        ),
        "doosan": Driver(
            Call("motion/change_operation_speed", "dsr_msgs2/srv/ChangeOperationSpeed"),
            "speed",
            scale=100,
            whole=True,
            lowest=0.01,
            zero=False,
            holds=(
                Hold(PAUSE, Call("motion/move_pause", "dsr_msgs2/srv/MovePause"), _RESUME),
                # a quick stop ends the motion: there is nothing to resume
                Hold(STOP, Call("motion/move_stop", "dsr_msgs2/srv/MoveStop", (("stop_mode", 1),))),
            ),
        ),
        # states: 0 move, 3 pause, 4 stop; there is no factor between them, so below 1 it pauses
        "xarm": Driver(
            Call("set_state", "xarm_msgs/srv/SetInt16"),
            "data",
            scale=0,
            whole=True,
            lowest=1.0,
            zero=False,
            holds=(
                Hold(PAUSE, Call("set_state", "xarm_msgs/srv/SetInt16", (("data", 3),))),
                Hold(STOP, Call("set_state", "xarm_msgs/srv/SetInt16", (("data", 4),))),
            ),
        ),
        "cnr": Driver(Call("/speed_ovr", "std_msgs/msg/Int16"), "data", scale=100, whole=True),
        # 0 means that there is no limit: the smallest limit is sent, and a goal is paused by
        # whoever made it; a base that must stand needs `twist`
        "nav2": Driver(
            Call("speed_limit", "nav2_msgs/msg/SpeedLimit", (("percentage", True),)),
            "speed_limit",
            scale=100,
            lowest=0.01,
            zero=False,
            holds=(
                Hold(
                    PAUSE,
                    Call(
                        "speed_limit",
                        "nav2_msgs/msg/SpeedLimit",
                        (("percentage", True), ("speed_limit", 1e-3)),
                    ),
                ),
            ),
            action="navigate_to_pose",
        ),
        # each velocity command on cmd_vel_in goes out on cmd_vel, times the factor
        "twist": Driver(Call("cmd_vel", "geometry_msgs/msg/TwistStamped"), "twist"),
        "topic": Driver(Call("speed_scaling_out", "std_msgs/msg/Float64"), "data"),
    }
)


@dataclass(frozen=True)
class BridgeConfig:
    """Parameters of the bridge between the speed factor and one robot's driver."""

    autostart: bool = option(True, "configure and activate at start, without a lifecycle manager")
    driver: str = option(
        "topic", "interface of the robot's driver (docs/robots.md)", choices=tuple(DRIVERS)
    )
    driver_namespace: str = option("", "namespace of the driver's topics and services")
    rate: float = option(100.0, "rate at which the ramp goes on [Hz]", minimum=20, maximum=1000)
    robot_speed_max: float = option(
        1.0,
        "fastest speed of any link at factor 1 [m/s], as of the safety node",
        minimum=0.01,
        maximum=20,
    )
    deceleration: float = option(
        3.0,
        "braking that the safety node reckons with [m/s²]; the ramp is as steep",
        minimum=0.1,
        maximum=100,
    )
    ramp_up: float = option(1.0, "from factor 0 to 1 [s]", minimum=0.0, maximum=60)
    heartbeat: float = option(
        0.1,
        "longest silence of the safety node before the robot is held [s]",
        minimum=0.02,
        maximum=5,
    )
    answer_within: float = option(
        0.12,
        "time for a driver to answer a call, and for a robot that disobeys to stand, before the "
        "next harder means [s]",
        minimum=0.02,
        maximum=10,
    )
    escalation: tuple[str, ...] = option(
        MEANS, f"means to hold the robot, ever harder, of {', '.join(MEANS)}; the first is slider"
    )
    cancel_action: str = option(
        "", "action whose goals cancel cancels; empty: the one that the driver has, if any"
    )
    stop_service: str = option(
        "", "std_srvs/Trigger that stops the robot, before the driver's own ones; empty: none"
    )

    def resolved(self, name: str) -> str:
        """Name in the driver's namespace, unless it begins with a slash."""
        namespace = self.driver_namespace.rstrip("/")
        return name if name.startswith("/") or not namespace else f"{namespace}/{name}"


def holds(config: BridgeConfig) -> tuple[Hold, ...]:
    """What holds the robot of a bridge beside a factor of 0, ever harder.

    Raises ConfigError if `escalation` has unknown means, doesn't begin with the slider or holds no
    robot.
    """
    wrong = [means for means in config.escalation if means not in MEANS]
    if wrong or config.escalation[:1] != (SLIDER,):
        raise ConfigError(
            f"escalation is {list(config.escalation)}; it takes {SLIDER} first, then any "
            f"of {', '.join(MEANS[1:])}"
        )
    driver = DRIVERS[config.driver]
    known = list(driver.holds)
    if config.stop_service:
        known.insert(0, Hold(STOP, Call(config.stop_service, _TRIGGER)))
    if action := config.cancel_action or driver.action:
        # a goal without an identity or a stamp stands for all of them
        name = f"{action}/_action/cancel_goal"
        known.append(Hold(CANCEL, Call(name, "action_msgs/srv/CancelGoal")))
    wanted = tuple(hold for means in config.escalation for hold in known if hold.means == means)
    if not (wanted or driver.zero):
        raise ConfigError(
            f"escalation is {list(config.escalation)}, of which nothing holds a robot of "
            f"'{config.driver}'; it has {', '.join(dict.fromkeys(hold.means for hold in known))}"
        )
    return wanted


def calls(config: BridgeConfig) -> dict[str, Call]:
    """One call of every topic and service that a bridge uses, by name."""
    held = holds(config)
    used = [DRIVERS[config.driver].factor, *(hold.call for hold in held)]
    return {call.name: call for call in (*used, *(c for hold in held for c in hold.resume))}


class Bridge:
    """Decide what to say to a driver, from the factor that the safety node allows.

    Times are those of a steady clock [s]. The robot is held until both factor and state have come,
    and once in any case: a bridge that was deactivated may have left it paused, and nobody else
    knows what resumes it. What would resume it from any of the holds is tried too.
    A call at a time is under way; one that is refused or not answered in time is counted. After a
    hold the next harder one follows, also while the safety node says that the robot disobeys: then
    there is no ramp, which nobody would follow. A speed or a resumption that is refused ends in
    holding until a new `Bridge` is made, since nobody knows what the driver would do with the next.

    A driver may still do what it was late to answer, after what it was asked later. So the robot is
    let go only once every earlier call is answered, or silent for `PATIENCE` times `answer_within`;
    and it is held again if something that lets it go turns out to be accepted after the hold.

    Attributes:
    - `factor`: what the driver is to have now, 0 to 1.
    - `held`: whether the driver said that it holds the robot, or has nothing but a factor of 0.
    - `refused`: the call that ended in holding for good; empty for none.
    - `reason`: why the robot stands; empty if it need not.
    - `problems`: refusals and silences by name.
    """

    def __init__(self, config: BridgeConfig) -> None:
        self.config = config
        self.driver = DRIVERS[config.driver]
        self.holds = holds(config)
        self.factor, self.held, self.refused = 0.0, False, ""
        self.reason = "no safety state heard yet"
        self._came_up = False  # whether the robot was held once
        self.problems: Counter[str] = Counter()
        self._allowed, self._stop, self._disobeys = 0.0, True, False
        self._factor_at = self._state_at = float("-inf")
        self._last = float("nan")  # time of the tick before
        self._under_way: Call | None = None
        self._late: list[tuple[Call, float]] = []  # not answered in time or overtaken, and since
        self._alone = True  # whether no earlier call was unanswered when the latest went out
        self._since = self._held_since = 0.0
        self._accepted: Call | None = None  # the latest factor that a service took
        self._first = -1 if self.driver.zero else 0  # -1: a factor of 0 holds
        self._next = self._first  # which way of holding is in force, or to be tried next
        self._failed, self._again = False, 0.0  # whether all was tried in vain; until when to wait
        # whatever may let go of a robot that was found held: what holds it first, such as goals
        # that are cancelled, need not be what it was held by
        self._resume = list(dict.fromkeys(call for hold in self.holds for call in hold.resume))
        self._doubtful = set(self._resume)  # after holds that may not have held

    @property
    def fault(self) -> str:
        """What is wrong with the driver, if anything."""
        if self._failed:
            return "nothing holds the robot"
        return f"{self.refused}; deactivate and activate to try again" if self.refused else ""

    def receive_factor(self, factor: float, now: float) -> None:
        """Take the factor that the safety node allows; what is no number from 0 to 1 stops."""
        self._factor_at = now
        self._allowed = factor if 0.0 <= factor <= 1.0 else 0.0
        if not 0.0 <= factor <= 1.0:
            self.problems["factor out of range"] += 1

    def receive_state(self, stop: bool, now: float, disobeys: bool = False) -> None:
        """Take a safety state: whether its level is STOP, and whether a robot disobeys."""
        self._stop, self._disobeys, self._state_at = stop, disobeys, now

    def answer(self, call: Call, accepted: bool, how: str = "refused") -> None:
        """Take a service's answer to a call that `tick` returned, or how it failed."""
        late, waited = call is not self._under_way, len(self._late)
        if late:
            self._late = [(other, since) for other, since in self._late if other is not call]
            if len(self._late) == waited:
                return  # nobody waits for it any more
        else:
            self._under_way = None
        hold = self._hold_of(call)
        if not accepted:
            if not late:  # which was counted when it became late
                self._fail(call, how)
        elif hold is not None:
            self._take_hold(hold)
        else:
            self._accepted = None if late else call
            self.held &= not late  # it may have let go of a robot that was held meanwhile
            if late and call in self._resume:
                self._doubtful.add(call)  # or have come before the hold, and is to be said again
            elif call in self._resume:
                self._resume.remove(call)

    def tick(self, now: float) -> list[Call]:
        """What to send now."""
        if self._under_way is not None and now - self._since > self._patience(self._under_way):
            call, self._under_way = self._under_way, None
            self._late.append((call, now))
            if (hold := self._hold_of(call)) is not None:
                self._will_resume(hold)  # it may have held the robot all the same
                self._doubtful.update(hold.resume)
            self._fail(call, "silent")
        longest = PATIENCE * self.config.answer_within
        self._late = [(call, since) for call, since in self._late if now - since <= longest]
        target = self._target(now)
        passed = max(now - self._last, 0.0) if self._last == self._last else 0.0
        self._last = now
        waits = self._under_way is not None and self._hold_of(self._under_way) is not None
        if target > 0.0 and (self._resume or waits or self._late):
            self.factor = 0.0  # goes on once the driver has let go
            self.reason = "the driver has not answered yet"
            calls = [] if self._late else self._resume[:1]
            self.held &= not calls  # a stop from now on has to hold it again
        else:
            self.factor = 0.0 if self._disobeys else self._ramped(target, passed)
            calls = self._moving() if self.factor > 0.0 else self._standing(now)
        return [begun for call in calls if (begun := self._begun(call, now)) is not None]

    def _patience(self, call: Call) -> float:
        """Seconds for an answer; a robot that is let go may take long, which hurries nobody."""
        hurries = self._hold_of(call) is not None or call not in self._resume
        return (1.0 if hurries else PATIENCE) * self.config.answer_within

    def _target(self, now: float) -> float:
        latest = min(self._state_at, self._factor_at)
        if self.refused:
            self.reason = self.fault
        elif latest == float("-inf"):
            self.reason = "no safety state heard yet"
        elif now - latest > self.config.heartbeat:
            self.reason = f"the safety node is silent for more than {self.config.heartbeat:g} s"
        elif self._disobeys:
            self.reason = "the robot disobeys"
        elif self._stop:
            self.reason = "stopped by the safety node"
        elif not (self._came_up or self.held):
            self.reason = "not held yet since the bridge came up"
        else:
            self.reason = "" if self._allowed >= self.driver.lowest else "no speed is allowed"
        self._came_up |= self.held
        return 0.0 if self.reason else self._allowed

    def _ramped(self, target: float, passed: float) -> float:
        """Factor after a step of time towards a target; below the driver's lowest it stands."""
        if target < self.factor:
            steepest = self.config.deceleration / self.config.robot_speed_max
            factor = max(target, self.factor - steepest * passed)
        else:
            rise = passed / self.config.ramp_up if self.config.ramp_up else 1.0
            factor = min(target, max(self.factor + rise, self.driver.lowest))
        return factor if factor >= self.driver.lowest else 0.0

    def _moving(self) -> list[Call]:
        self.held, self._next, self._failed = False, self._first, False
        call = self.driver.carrying(self.factor)
        return [call] if call != self._accepted else []

    def _standing(self, now: float) -> list[Call]:
        calls = []
        if self.driver.zero:
            zero = self.driver.carrying(0.0)
            if zero != self._accepted:
                calls.append(zero)
            if self._next < 0 and not self.held:
                self.held, self._held_since = True, now
        harder = self.held and self._disobeys and self._next + 1 < len(self.holds)
        if harder and now - self._held_since > self.config.answer_within:
            self._next, self.held = self._next + 1, False
        if not self.held:
            self._accepted = None
            if now >= self._again:
                calls.append(self.holds[self._next].call)
        return calls

    def _hold_of(self, call: Call) -> Hold | None:
        return next((hold for hold in self.holds if hold.call == call), None)

    def _take_hold(self, hold: Hold) -> None:
        self.held, self._held_since, self._failed = True, self._last, False
        if self._alone:
            if hold.means == STOP:  # ends what was paused
                self._resume.clear()
            self._doubtful.difference_update(hold.resume)
        else:  # services answer in any order: whether it came before another hold nobody knows
            self._doubtful.update(self._resume, hold.resume)
        self._will_resume(hold)

    def _will_resume(self, hold: Hold) -> None:
        self._resume += [call for call in hold.resume if call not in self._resume]

    def _begun(self, call: Call, now: float) -> Call | None:
        """A call that may go out now; services one at a time, a hold before all others."""
        hold = self._hold_of(call)
        if not call.is_service:
            if hold is not None:
                self._take_hold(hold)
            return call
        if self._under_way is not None:
            if hold is None or self._hold_of(self._under_way) is not None:
                return None
            self._late.append((self._under_way, now))
        self._alone = not self._late
        self._under_way, self._since = replace(call), now  # told apart from others of its like
        return self._under_way

    def _fail(self, call: Call, how: str) -> None:
        self.problems[f"{call.name} {how}"] += 1
        if call in self._doubtful and call in self._resume:
            self._resume.remove(call)
            return
        if self._hold_of(call) is None:
            self.refused = f"{call.name} {how}"
            return
        self._next += 1
        if self._next == len(self.holds):
            self._next = max(self._first, 0)  # from the beginning: holding is never given up
            self._failed, self._again = True, self._last + self.config.answer_within
            self.problems["nothing holds the robot"] += 1


# lowest and highest value of the field that carries the factor, whole numbers where it is whole
_RANGES = {
    "ur": (0.01, 1.0),
    "jtc": (0.0, 10.0),
    "fanuc": (0, 100),
    "abb": (0, 100),
    "doosan": (1, 100),
    "xarm": (0, 0),
    "cnr": (0, 100),
    "nav2": (0.0, 100.0),
    "topic": (0.0, 1.0),
}
SIMULATED = tuple(_RANGES)


@dataclass
class SimulatedDriver:
    """One robot's driver as its interface says, for tests and for the demo's robot.

    Written from the ranges and the orders of the drivers' public message and service definitions
    and manuals, as of November 2026. What is out of range is refused; a robot that was paused or
    stopped moves on only after what its driver needs for that.

    Attributes:
    - `config`: of the bridge that talks to it.
    - `refuses`: names of topics and services whose calls it refuses whatever they say.
    - `factor`: share of the full speed that it was told last, 0 to 1.
    - `held_by`: means that hold the robot; empty while it may move. It comes up at full speed, as
      drivers do: ros2_control's controller begins at factor 1, a program runs at the slider's last
      place.
    - `needs`: what it needs to move on, any of them.
    - `refused`: what it refused.
    """

    config: BridgeConfig
    refuses: frozenset[str] = frozenset()
    factor: float = 1.0
    held_by: str = ""
    needs: tuple[Call, ...] = ()
    refused: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driver, self._holds = DRIVERS[self.config.driver], holds(self.config)

    def pause(self) -> None:
        """Hold it as somebody does who paused its program, or set the factor to 0."""
        self.held_by, self.needs = PAUSE, self._holds[0].resume if self._holds else ()

    @property
    def speed(self) -> float:
        """Share of the full speed at which the robot moves, 0 to 1."""
        return 0.0 if self.held_by else self.factor

    def take(self, call: Call) -> bool:
        """Do what a call says; says whether it was accepted."""
        accepted = call.name not in self.refuses and self._obey(call)
        if not accepted:
            self.refused.append(call)
        return accepted

    def _obey(self, call: Call) -> bool:
        hold = next((hold for hold in self._holds if hold.call == call), None)
        if hold is not None:
            self.held_by = hold.means
            # a stop ends what was paused; cancelling goals leaves it paused
            self.needs = hold.resume if hold.means == STOP else hold.resume or self.needs
            return True
        if any(call in hold.resume for hold in self._holds):
            if call not in self.needs:  # what runs can't be started
                return False
            self.held_by, self.needs = "", ()
            return True
        return not self.needs and self._slide(call)

    def _slide(self, call: Call) -> bool:
        value = dict(call.fields)[self.driver.field]
        lowest, highest = _RANGES[self.config.driver]
        if (self.driver.whole and not isinstance(value, int)) or not lowest <= value <= highest:
            return False
        # xArm moves or doesn't; for Nav2, 0 is no limit
        unlimited = not self.driver.scale or (self.config.driver == "nav2" and value == 0)
        self.factor = 1.0 if unlimited else min(value / self.driver.scale, 1.0)
        if self.factor > 0.0:
            self.held_by = ""
        return True
