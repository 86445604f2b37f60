"""Forecaster, safety node and robot as processes: what flows, and what happens when it doesn't."""

from __future__ import annotations

import math
import signal
import time

import numpy as np
import pytest
from std_msgs.msg import Float64
from stream import FRAME_TIME, PersonStream

from ses_gcn_ros.msg import ForecastArray, SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import SafetyConfig

CONFIG = SafetyConfig()
URDF = str(share_path("config", "demo", "cell.urdf"))


class Chain:
    """The running cell and what it says."""

    def __init__(self, cell) -> None:
        self.cell = cell
        self.forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
        self.states = cell.listen(SafetyState, "safety_state", qos.STREAM)
        self.factors = cell.listen(Float64, "speed_scaling", qos.LATCHED)
        cell.start("safety_node", robot_description=URDF)
        self.start_robot()
        self.start_forecaster()
        self.person = PersonStream(cell.node)
        cell.wait_for_listeners(self.person.publisher, count=2)
        self.person.start()

    def start_robot(self) -> None:
        self.robot = self.cell.start("demo_robot", robot_description=URDF)

    def start_forecaster(self) -> None:
        self.forecaster = self.cell.start("forecaster_node")

    def run(self) -> None:
        """Wait until the robot is allowed to move."""
        self.cell.wait_for(lambda: self.moving, lambda: f"a robot allowed to move; {self.last}")

    @property
    def last(self) -> SafetyState | None:
        return self.states[-1] if self.states else None

    @property
    def moving(self) -> bool:
        return self.last is not None and self.last.level != SafetyState.STOP

    def answers(self, reason: str, age: str, limit: float) -> None:
        """Wait for a state that names `reason`, as has every one whose input is over a limit [s].

        The ages are those in the states, which do not depend on how busy the machine is.
        """
        seen = len(self.states)

        def named(state: SafetyState) -> bool:
            told = any(reason in text for text in state.reasons)
            return told and state.level != SafetyState.CLEAR

        self.cell.wait_for(
            lambda: any(map(named, self.states[seen:])),
            lambda: f"a state whose reason has '{reason}'; last {self.last}",
        )
        late = [state for state in self.states[seen:] if getattr(state, age) > limit + 1e-3]
        assert all(map(named, late)), late


@pytest.fixture(scope="module")
def started(shared_cell) -> Chain:
    return Chain(shared_cell)


@pytest.fixture
def chain(started) -> Chain:
    if started.robot.poll() is not None:  # a test has killed it
        started.start_robot()
    started.run()
    return started


def test_every_skeleton_is_forecast_and_every_state_has_its_numbers(chain):
    seen = len(chain.forecasts)
    chain.cell.wait_for(lambda: len(chain.forecasts) >= seen + 25, "25 forecasts")
    message = chain.forecasts[-1]
    assert message.header.frame_id == "world"
    forecast = message.forecasts[0]
    assert forecast.layout == "chico15"
    assert not forecast.model.startswith("constant_velocity"), "the history is long enough by now"
    positions = np.asarray(forecast.positions).reshape(forecast.steps, 15, 3)
    radius = np.asarray(forecast.radius).reshape(forecast.steps, 15)
    assert np.isfinite(positions).all()
    assert (radius > 0).all()
    near, middle, far = radius.mean(axis=1)[[0, 9, -1]]
    assert near < middle < far, "the farther ahead, the less is certain"
    step = forecast.step.sec + forecast.step.nanosec * 1e-9
    assert step == pytest.approx(FRAME_TIME)

    def fresh() -> bool:  # at times, on a machine that may be busy
        state = chain.last
        return state.skeleton_age < 0.2 and state.forecast_age < 0.3 and state.tf_age < 0.2

    chain.cell.wait_for(fresh, lambda: f"a state of what is fresh; last {chain.last}")
    state = chain.last
    assert state.margin == pytest.approx(state.separation - state.protective_distance, abs=1e-4)
    assert 0.0 <= state.speed_factor <= 1.0


@pytest.mark.slow
def test_the_robot_is_stopped_with_a_reason_when_the_skeletons_cease(chain):
    chain.person.stop()
    chain.answers("skeleton", "skeleton_age", CONFIG.skeleton_age_max)
    chain.cell.wait_for(lambda: chain.last.level == SafetyState.STOP, "STOP")
    assert chain.last.speed_factor == 0.0
    chain.cell.wait_for(lambda: chain.factors[-1].data == 0.0, "speed factor 0")
    chain.person.start()


@pytest.mark.slow
def test_killing_the_forecaster_is_answered_and_its_return_releases(chain):
    chain.forecaster.send_signal(signal.SIGKILL)
    chain.answers("forecast", "forecast_age", CONFIG.forecast_age_max)
    chain.start_forecaster()
    chain.run()


@pytest.mark.slow
def test_a_person_who_reaches_into_the_sweep_slows_or_stops_the_robot(chain):
    start = len(chain.states)
    clip = len(chain.person.messages) * FRAME_TIME
    deadline = time.monotonic() + clip + 1.0
    chain.cell.wait_for(lambda: time.monotonic() > deadline, "the clip to pass", clip + 5)
    nearest = min(chain.states[start:], key=lambda state: state.separation)
    assert math.isfinite(nearest.separation)
    assert nearest.level == SafetyState.STOP
    assert nearest.person_id
    assert nearest.human_limb
    assert nearest.robot_frame


@pytest.mark.slow
def test_killing_the_robots_publisher_stops(chain):
    """The last one, as DDS takes who was killed as there for 20 s."""
    chain.robot.send_signal(signal.SIGKILL)
    chain.answers("tf of the robot stale", "tf_age", CONFIG.tf_age_max)
    assert chain.last.level == SafetyState.STOP
