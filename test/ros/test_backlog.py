"""A safety node that could not keep up answers the newest of what waits, and counts it all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_time
from ses_gcn_ros.nodes.safety_node import SafetyNode

WAITING, STEP = 8, 0.03  # messages on each topic, and the time between their stamps [s]


@pytest.fixture
def safety_node(node):
    """A safety node in this process, which does nothing until it is asked to."""
    safety_node = SafetyNode()
    robot = Parameter("robot_description", value="demo")
    assert safety_node.set_parameters([robot])[0].successful
    safety_node.bring_up()
    yield safety_node
    safety_node.close()


@pytest.fixture
def cell(node, safety_node):
    """Publishers of both streams, the states that came, and a way to spin until something holds."""
    states: list[SafetyState] = []
    node.create_subscription(SafetyState, "safety_state", states.append, qos.STREAM)
    outputs = {
        kind: node.create_publisher(kind, topic, qos.STREAM)
        for kind, topic in ((SkeletonArray, "skeletons"), (ForecastArray, "forecasts"))
    }
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin_until(condition) -> None:
        for _ in range(3000):
            if condition():
                return
            executor.spin_once(timeout_sec=0.02)
        pytest.fail(f"a minute has passed; {len(states)} states")

    def send(*stamps: float) -> None:
        """Nobody, and no forecast, at each stamp; until all of it is in the node's queues."""
        for stamp in stamps:
            for kind, publisher in outputs.items():
                message = kind()
                message.header.stamp = to_time(stamp)
                message.header.frame_id = safety_node.config.world_frame
                publisher.publish(message)
        for publisher in outputs.values():
            assert publisher.wait_for_all_acked()

    spin_until(lambda: all(each.get_subscription_count() for each in outputs.values()))
    spin_until(lambda: safety_node.states.get_subscription_count())
    return SimpleNamespace(executor=executor, states=states, spin_until=spin_until, send=send)


def test_the_first_answer_after_a_hold_up_is_to_the_newest_forecast(cell, safety_node):
    begin = safety_node.now() - WAITING * STEP
    order = [*range(WAITING - 1), 2, WAITING - 1]  # one of which is late
    cell.send(*(begin + number * STEP for number in order))

    cell.executor.add_node(safety_node)
    states = cell.states
    cell.spin_until(lambda: any(state.forecast_age < 60.0 for state in states))
    first = next(state for state in states if state.forecast_age < 60.0)
    stamp = first.header.stamp.sec + 1e-9 * first.header.stamp.nanosec
    newest = begin + (WAITING - 1) * STEP
    assert stamp - first.forecast_age == pytest.approx(newest, abs=1e-3)
    assert stamp - first.skeleton_age == pytest.approx(newest, abs=1e-3)
    assert safety_node.statistics.problems["InputError"] == 2
    assert safety_node.statistics.handled >= 2 * WAITING


def test_queues_are_looked_into_only_where_forecasts_come_late(cell, safety_node, monkeypatch):
    now = safety_node.now()
    monkeypatch.setattr(safety_node, "now", lambda: now)  # whatever this machine has to do
    looked, drain = [], safety_node.drain
    monkeypatch.setattr(safety_node, "drain", lambda *each: (looked.append(each), drain(*each)))
    cell.executor.add_node(safety_node)
    ages = (  # of the first of so many, by which it is told
        (0.01, 1, True),  # before which nothing is known
        (0.01, 1, False),
        (0.014, 1, False),
        (0.02, 1, True),
        (0.01, 1, False),
        (0.1, 4, True),
        (0.01, 1, False),
    )
    for age, waiting, late in ages:
        looked.clear()
        handled, now = safety_node.statistics.handled, now + 0.2
        cell.send(*(now - age + number * STEP for number in range(waiting)))
        cell.spin_until(
            lambda: safety_node.statistics.handled == handled + 2 * waiting  # noqa: B023
        )
        assert bool(looked) == late, (age, waiting)
