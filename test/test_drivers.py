"""Every driver's stand-in obeys its interface's rules; the bridge has to live with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ses_gcn_ros.config import build
from ses_gcn_ros.drivers import DRIVERS, Bridge, BridgeConfig, Call

TICK = 0.01  # s
SPEED, BRAKES = 0.8, 1.6  # m/s, m/s²


@dataclass
class StandIn:
    """What a driver of one family does with what it is told.

    Values out of the interface's range are refused; a robot that is held moves on only after what
    its driver needs for that, in order; answers take `delay`.
    """

    name: str
    delay: float = 0.02
    refuses: frozenset[str] = frozenset()
    silent: bool = False
    factor: float = 0.0
    held: bool = False
    refused: list[Call] = field(default_factory=list)
    answers: list[tuple[float, Call, bool]] = field(default_factory=list)

    def take(self, call: Call, now: float) -> None:
        driver = DRIVERS[self.name]
        accepted = call.name not in self.refuses and self.in_range(call)
        if not accepted:
            self.refused.append(call)
        elif call in driver.hold:
            self.held, self.factor = True, 0.0
        elif call in driver.resume:
            self.held = False
        else:
            if self.held and driver.resume:
                self.refused.append(call)
                accepted = False
            elif self.name == "xarm":
                self.held, self.factor = False, 1.0
            else:
                self.held = False
                self.factor = dict(call.fields)[driver.field] / (driver.scale or 1.0)
        if call.is_service and not self.silent:
            self.answers.append((now + self.delay, call, accepted))

    def in_range(self, call: Call) -> bool:
        """Ranges of the public interfaces."""
        values = dict(call.fields)
        if self.name == "ur" and "speed_slider_fraction" in values:
            return 0.01 <= values["speed_slider_fraction"] <= 1.0
        if self.name == "doosan" and "speed" in values:
            return 1 <= values["speed"] <= 100 and isinstance(values["speed"], int)
        if self.name in ("fanuc", "cnr", "abb") and call.name == DRIVERS[self.name].factor.name:
            number = values[DRIVERS[self.name].field]
            return isinstance(number, int) and 0 <= number <= 100
        if self.name == "xarm":
            return values["data"] in (0, 3, 4)
        if self.name == "nav2":
            return values["speed_limit"] > 0  # 0 would mean that there is no limit
        return True


class Cell:
    """A bridge, a stand-in and a clock."""

    def __init__(self, driver: str, **stand_in: object) -> None:
        values = {"driver": driver, "robot_speed_max": SPEED, "deceleration": BRAKES}
        self.bridge = Bridge(build(BridgeConfig, values))
        self.robot = StandIn(driver, **stand_in)  # type: ignore[arg-type]
        self.now = 100.0
        self.sent: list[tuple[float, Call]] = []

    def step(self, factor: float | None, stop: bool | None) -> None:
        """One tick; None is silence."""
        self.now += TICK
        for at, call, accepted in list(self.robot.answers):
            if at <= self.now:
                self.robot.answers.remove((at, call, accepted))
                self.bridge.answer(call, accepted)
        if factor is not None:
            self.bridge.hear_factor(factor, self.now)
        if stop is not None:
            self.bridge.hear_state(stop, self.now)
        for call in self.bridge.tick(self.now):
            self.sent.append((self.now, call))
            self.robot.take(call, self.now)

    def run(self, seconds: float, factor: float | None, stop: bool | None) -> None:
        for _ in range(round(seconds / TICK)):
            self.step(factor, stop)


@pytest.fixture(params=sorted(set(DRIVERS) - {"twist"}))
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
    assert cell.robot.factor == 1.0
    cell.run(SPEED / BRAKES + 0.1, 0.0, True)  # the ramp, and the way there
    assert cell.bridge.held
    assert cell.robot.held or cell.robot.factor == 0.0
    cell.run(2.0, 1.0, False)
    assert cell.robot.factor == 1.0
    assert not cell.robot.held
    assert cell.robot.refused == []


def test_a_silent_safety_node_holds_the_robot(driver: str):
    cell = Cell(driver)
    cell.run(2.0, 1.0, False)
    cell.run(0.2, None, None)
    assert "silent" in cell.bridge.reason
    cell.run(0.5, None, None)
    assert cell.robot.held or cell.robot.factor == 0.0


def test_a_factor_without_a_state_is_no_permission(driver: str):
    cell = Cell(driver)
    cell.run(1.0, 1.0, None)
    assert cell.robot.factor == 0.0


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.7, float("inf")])
def test_a_factor_that_is_none_stops(wrong: float):
    cell = Cell("cnr")
    cell.run(1.5, 1.0, False)
    cell.run(1.0, wrong, False)
    assert cell.robot.factor == 0.0
    assert cell.bridge.problems["factor out of range"]


def holding_twice() -> list[str]:
    return [name for name, each in DRIVERS.items() if len(each.hold) > 1]


@pytest.mark.parametrize("name", [n for n in holding_twice() if n != "xarm"])
def test_a_hold_that_is_refused_is_followed_by_the_next_harder_one(name: str):
    first, second = DRIVERS[name].hold[:2]
    cell = Cell(name, refuses=frozenset({first.name}))
    cell.bridge.held, cell.robot.held = False, False
    cell.run(0.2, 0.0, True)
    assert cell.robot.held
    assert [call for _, call in cell.sent if call in DRIVERS[name].hold][:2] == [first, second]
    assert cell.bridge.problems[f"{first.name} refused"] == 1


def services() -> list[str]:
    return [name for name, each in DRIVERS.items() if each.factor.is_service]


@pytest.mark.parametrize("name", services())
def test_a_driver_that_refuses_a_speed_is_held_and_named(name: str):
    cell = Cell(name)
    cell.run(2.0, 1.0, False)
    cell.robot.refuses = frozenset({DRIVERS[name].factor.name})
    if name == "xarm":  # its hold is the same service
        cell.bridge.held = False
    cell.run(1.0, 0.5, False)
    if name != "xarm":  # takes no factor between 0 and 1, so that nothing had to be sent
        assert DRIVERS[name].factor.name in cell.bridge.reason
        assert cell.bridge.factor == 0.0
        assert cell.robot.held
    cell.run(1.0, 1.0, False)
    assert cell.bridge.refused == (DRIVERS[name].factor.name if name != "xarm" else "")


@pytest.mark.parametrize("name", services())
def test_a_driver_that_does_not_answer_is_named_and_never_given_up_holding(name: str):
    cell = Cell(name, silent=True)
    cell.run(2.0, 0.0, True)
    assert any("silent" in problem for problem in cell.bridge.problems)
    tried = {call for _, call in cell.sent if call in DRIVERS[name].hold}
    assert tried == set(DRIVERS[name].hold)
    late = [at for at, call in cell.sent if call in DRIVERS[name].hold]
    assert cell.now - late[-1] < 0.5


def test_a_percentage_is_never_more_than_what_is_allowed():
    for name in ("fanuc", "cnr", "abb", "doosan"):
        for factor in np.linspace(0.02, 1.0, 777):
            call = DRIVERS[name].carrying(float(factor))
            assert dict(call.fields)[DRIVERS[name].field] <= 100 * factor + 1e-6
    assert dict(DRIVERS["fanuc"].carrying(0.29).fields)["data"] == 29
