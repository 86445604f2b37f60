"""Every driver's stand-in obeys its interface's rules; the bridge has to live with them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ses_gcn_ros.config import build
from ses_gcn_ros.drivers import (
    DRIVERS,
    MEANS,
    SIMULATED,
    Bridge,
    BridgeConfig,
    Call,
    SimulatedDriver,
    holds,
)
from ses_gcn_ros.errors import ConfigError

TICK = 0.01  # s
SPEED, BRAKES = 0.8, 1.6  # m/s, m/s²


class Cell:
    """A bridge, a stand-in and a clock."""

    def __init__(
        self, driver: str, *, delay: float = 0.02, silent: bool = False, refuses=(), **options
    ) -> None:
        values = {"driver": driver, "robot_speed_max": SPEED, "deceleration": BRAKES, **options}
        config = build(BridgeConfig, values)
        self.bridge = Bridge(config)
        self.robot = SimulatedDriver(config, frozenset(refuses))
        self.delay, self.silent = delay, silent
        self.known_from: dict[str, float] = {}  # when DDS finds a service [s]; the others at once
        self.answers: list[tuple[float, Call, bool]] = []
        self.now, self.disobeys = 100.0, False
        self.sent: list[tuple[float, Call]] = []

    def step(self, factor: float | None, stop: bool | None) -> None:
        """One tick; None is silence."""
        self.now += TICK
        for at, call, accepted in list(self.answers):
            if at <= self.now:
                self.answers.remove((at, call, accepted))
                self.bridge.answer(call, accepted)
        if factor is not None:
            self.bridge.receive_factor(factor, self.now)
        if stop is not None:
            self.bridge.receive_state(stop, self.now, self.disobeys)
        for call in self.bridge.tick(self.now):
            if self.now < self.known_from.get(call.name, 0.0):
                self.bridge.answer(call, False, "not offered")
                continue
            self.sent.append((self.now, call))
            accepted = self.robot.take(call)
            if call.is_service and not self.silent:
                self.answers.append((self.now + self.delay, call, accepted))

    def tried(self) -> list[Call]:
        """What was sent to hold the robot, once each in a row."""
        known = [hold.call for hold in holds(self.bridge.config)]
        calls = [call for _, call in self.sent if call in known]
        return [call for call, _ in itertools.groupby(calls)]

    def run(self, seconds: float, factor: float | None, stop: bool | None) -> None:
        for _ in range(round(seconds / TICK)):
            self.step(factor, stop)


@pytest.fixture(params=SIMULATED)
def driver(request: pytest.FixtureRequest) -> str:
    """Return the name of each driver that takes a factor."""
    return str(request.param)


def test_whatever_is_allowed_no_command_is_refused_and_no_decrease_is_steeper_than_the_brakes(
    driver: str,
):
    rng = np.random.default_rng(20)
    cell = Cell(driver)
    before = cell.bridge.factor
    lowest = DRIVERS[driver].lowest
    for _ in range(10_000):
        factor, stop = float(rng.choice([0.0, rng.random(), 1.0])), bool(rng.random() < 0.2)
        for _ in range(int(rng.integers(1, 5))):
            cell.step(factor, stop)
            after = cell.bridge.factor
            steepest = BRAKES / SPEED * TICK + 1e-9
            assert before - after <= steepest or (after == 0.0 and before <= lowest + steepest)
            before = after
    assert cell.robot.refused == []
    assert not cell.bridge.problems


def test_a_stop_ends_in_what_holds_the_robot_and_a_release_in_full_speed(driver: str):
    cell = Cell(driver)
    cell.run(2.0, 1.0, False)
    assert cell.robot.speed == 1.0
    cell.run(SPEED / BRAKES + 0.1, 0.0, True)  # the ramp, and the way there
    assert cell.bridge.held
    assert cell.robot.speed == 0.0
    cell.run(2.0, 1.0, False)
    assert cell.robot.speed == 1.0
    assert cell.robot.refused == []


def test_a_bridge_that_comes_up_resumes_what_its_forerunner_left_paused(driver: str):
    cell = Cell(driver)
    cell.run(2.0, 1.0, False)
    cell.run(SPEED / BRAKES + 0.1, 0.0, True)
    cell.bridge = Bridge(cell.bridge.config)  # as when it is deactivated and activated
    cell.run(2.0, 1.0, False)
    assert cell.robot.speed == 1.0
    assert cell.robot.refused == []


def test_a_silent_safety_node_holds_the_robot(driver: str):
    cell = Cell(driver)
    cell.run(2.0, 1.0, False)
    cell.run(0.2, None, None)
    assert "silent" in cell.bridge.reason
    cell.run(0.5, None, None)
    assert cell.robot.speed == 0.0


def test_a_factor_without_a_state_is_no_permission(driver: str):
    cell = Cell(driver)
    cell.run(1.0, 1.0, None)
    assert cell.robot.speed == 0.0


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.7, float("inf")])
def test_a_factor_that_is_none_stops(wrong: float):
    cell = Cell("cnr")
    cell.run(1.5, 1.0, False)
    cell.run(1.0, wrong, False)
    assert cell.robot.speed == 0.0
    assert cell.bridge.problems["factor out of range"]


def with_two_holds() -> list[str]:
    """Drivers whose first two ways of holding are services of different names."""
    known = {n: [h.call for h in holds(BridgeConfig(driver=n))[:2]] for n in SIMULATED}
    return [
        n
        for n, calls in known.items()
        if len({call.name for call in calls if call.is_service}) == 2 and not DRIVERS[n].zero
    ]


@pytest.mark.parametrize("name", with_two_holds())
def test_a_hold_that_is_refused_is_followed_by_the_next_harder_one(name: str):
    first, second = (hold.call for hold in holds(BridgeConfig(driver=name))[:2])
    cell = Cell(name, refuses={first.name})
    cell.run(0.2, 0.0, True)
    assert cell.robot.speed == 0.0
    assert cell.tried()[:2] == [first, second]
    assert cell.bridge.problems[f"{first.name} refused"] == 1


def services() -> list[str]:
    return [name for name in SIMULATED if DRIVERS[name].factor.is_service]


@pytest.mark.parametrize("name", services())
@pytest.mark.parametrize("seed", range(10))
def test_a_robot_found_paused_moves_on_whichever_of_its_services_are_found_first(name, seed):
    rng = np.random.default_rng(seed)
    cell = Cell(name)
    cell.robot.pause()
    found = [hold.call.name for hold in holds(cell.bridge.config)]
    cell.known_from = {call: 100.0 + rng.uniform(0.0, 1.0) for call in found}
    cell.run(1.5, 0.0, True)
    cell.run(3.0, 1.0, False)
    assert not cell.bridge.fault
    assert cell.robot.speed == 1.0


@pytest.mark.parametrize("name", [n for n in services() if n != "xarm"])
def test_a_driver_that_refuses_a_speed_is_held_for_good_and_named_within_a_fifth_of_a_second(name):
    factor = DRIVERS[name].factor.name
    cell = Cell(name)
    cell.run(2.0, 1.0, False)
    cell.robot.refuses = frozenset({factor})
    begun = cell.now
    while not cell.bridge.fault:
        cell.step(0.5, False)
    assert cell.now - begun <= 0.2
    assert cell.bridge.fault.startswith(f"{factor} refused")
    cell.run(1.0, 0.5, False)
    assert cell.robot.speed == 0.0
    cell.run(1.0, 1.0, False)
    assert cell.bridge.refused == f"{factor} refused"


@pytest.mark.parametrize("name", services())
def test_a_driver_that_falls_silent_is_named_within_a_fifth_of_a_second(name: str):
    cell = Cell(name)
    cell.run(2.0, 1.0, False)
    cell.silent, heard = True, len(cell.sent)
    while not cell.bridge.problems:
        cell.step(0.0, True)
    begun = cell.sent[heard][0]
    assert cell.now - begun <= 0.2
    assert any("silent" in problem for problem in cell.bridge.problems)


@pytest.mark.parametrize("name", services())
def test_holding_a_silent_robot_is_never_given_up(name: str):
    cell = Cell(name, silent=True)
    cell.run(3.0, 0.0, True)
    assert set(cell.tried()) == {hold.call for hold in holds(cell.bridge.config)}
    assert cell.bridge.fault == "nothing holds the robot"
    late = [at for at, call in cell.sent if call in cell.tried()]
    assert cell.now - late[-1] < 0.5


def test_a_pause_whose_answer_was_lost_may_be_resumed_or_not():
    """Nobody knows whether it held the robot: that it need not be resumed is no fault."""
    for held in (True, False):
        cell = Cell("ur")
        cell.run(2.0, 1.0, False)
        pause, *_ = (hold.call for hold in holds(cell.bridge.config))
        cell.run(1.0, 0.0, False)  # down the ramp, until it is paused
        cell.bridge.held, cell.bridge._resume = False, []
        cell.robot.held_by, cell.robot.needs = "", ()
        cell.silent = True
        while not cell.bridge.problems[f"{pause.name} silent"]:
            cell.step(0.0, True)
        cell.silent = False
        if not held:
            cell.robot.held_by, cell.robot.needs = "", ()
        cell.bridge._next = 1
        cell.run(3.0, 1.0, False)
        assert not cell.bridge.fault
        assert cell.robot.speed == 1.0


class LateCell(Cell):
    """A driver that does what it is asked in any order and late, except for speeds.

    Calls and answers of one service come in order, as they do over DDS; those of two services need
    not. Answers take up to `longest` [s], except to speeds.
    """

    def __init__(self, driver: str, seed: int, longest: float = 0.0) -> None:
        super().__init__(driver)
        self.longest = longest
        self.rng = np.random.default_rng(seed)
        self.queue: list[tuple[float, Call]] = []

    def step(self, factor: float | None, stop: bool | None) -> None:
        self.now += TICK
        self.bridge.receive_factor(factor, self.now)
        self.bridge.receive_state(stop, self.now)
        for at, call in sorted(self.queue, key=lambda item: item[0]):
            if at <= self.now:
                self.queue = [item for item in self.queue if item[1] is not call]
                accepted = self.robot.take(call)
                if call.is_service:
                    before = [at for at, other, _ in self.answers if other.name == call.name]
                    slow = call.name != self.bridge.driver.factor.name
                    at = max([self.now + slow * self.rng.uniform(0.0, self.longest), *before])
                    self.answers.append((at, call, accepted))
        for at, call, accepted in sorted(self.answers, key=lambda item: item[0]):
            if at <= self.now:
                self.answers = [item for item in self.answers if item[1] is not call]
                self.bridge.answer(call, accepted)
        for call in self.bridge.tick(self.now):
            speed = call.name == self.bridge.driver.factor.name
            longest = 0.05 if speed or not call.is_service else 1.0
            before = [at for at, queued in self.queue if queued.name == call.name]
            at = max([self.now + self.rng.uniform(0.0, longest), *before])
            self.queue.append((at, call))


@pytest.mark.parametrize("longest", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_what_a_driver_does_late_neither_frees_a_stopped_robot_nor_holds_it_for_good(
    driver: str, seed: int, longest: float
):
    cell = LateCell(driver, seed, longest)
    for _ in range(20):
        cell.run(float(cell.rng.uniform(0.05, 4.0)), 1.0, False)
        cell.run(float(cell.rng.uniform(0.05, 1.0)), 0.0, True)
        cell.run(4.0, 0.0, True)  # all that was asked is done, and once more after the last answer
        for _ in range(20):
            cell.step(0.0, True)
            assert cell.robot.speed == 0.0
        cell.run(6.0, 1.0, False)
        assert cell.bridge.refused == ""
        assert cell.robot.speed == 1.0


def test_every_means_is_tried_ever_harder_while_the_robot_disobeys(driver: str):
    cell = Cell(driver, stop_service="/cell/stop", cancel_action="/arm/follow_joint_trajectory")
    cell.run(2.0, 1.0, False)
    cell.sent.clear()
    cell.disobeys = True
    cell.step(0.0, True)
    assert cell.bridge.factor == 0.0  # no ramp, since nobody follows it
    cell.run(2.0, 0.0, True)
    known = holds(cell.bridge.config)
    assert cell.tried() == [hold.call for hold in known]
    steps = [MEANS.index(hold.means) for hold in known]
    assert steps == sorted(steps)
    assert not cell.bridge.problems


def test_a_robot_that_obeys_again_moves_on_once_it_is_released(driver: str):
    cell = Cell(driver)
    cell.run(2.0, 1.0, False)
    cell.disobeys = True
    cell.run(0.3, 0.0, True)
    cell.disobeys = False
    cell.run(1.0, 0.0, True)
    assert cell.robot.speed == 0.0
    cell.run(2.0, 1.0, False)
    assert cell.robot.speed == 1.0
    assert cell.robot.refused == []


def test_only_what_escalation_names_is_used():
    cell = Cell("ur", silent=True, escalation=("slider", "cancel"))
    cell.run(1.0, 0.0, True)
    (call,) = cell.tried()
    assert (
        call.name
        == "/scaled_joint_trajectory_controller/follow_joint_trajectory/_action/cancel_goal"
    )


@pytest.mark.parametrize(
    ("escalation", "said"),
    [
        (("pause",), "slider first"),
        (("slider", "brake"), "any of pause, cancel"),
        (("slider",), "nothing holds a robot of 'ur'; it has pause"),
    ],
)
def test_an_escalation_that_holds_nobody_is_refused(escalation: tuple[str, ...], said: str):
    with pytest.raises(ConfigError, match=said):
        holds(BridgeConfig(driver="ur", escalation=escalation))


def test_a_percentage_is_never_more_than_what_is_allowed():
    for name in ("fanuc", "cnr", "abb", "doosan"):
        for factor in np.linspace(0.02, 1.0, 777):
            call = DRIVERS[name].carrying(float(factor))
            assert dict(call.fields)[DRIVERS[name].field] <= 100 * factor + 1e-6
    assert dict(DRIVERS["fanuc"].carrying(0.29).fields)["data"] == 29
