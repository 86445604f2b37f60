"""A safety node that could not keep up answers the newest of what waits, and counts it all."""

from __future__ import annotations

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


def test_the_first_answer_after_a_hold_up_is_to_the_newest_forecast(node, safety_node):
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

    spin_until(lambda: all(each.get_subscription_count() for each in outputs.values()))
    spin_until(lambda: safety_node.states.get_subscription_count())
    begin = safety_node.now() - WAITING * STEP
    order = [*range(WAITING - 1), 2, WAITING - 1]  # one of which is late
    for number in order:
        for kind, publisher in outputs.items():
            message = kind()
            message.header.stamp = to_time(begin + number * STEP)
            message.header.frame_id = safety_node.config.world_frame
            publisher.publish(message)
    for publisher in outputs.values():
        assert publisher.wait_for_all_acked()  # all of it is in the node's queues

    executor.add_node(safety_node)
    spin_until(lambda: any(state.forecast_age < 60.0 for state in states))
    first = next(state for state in states if state.forecast_age < 60.0)
    stamp = first.header.stamp.sec + 1e-9 * first.header.stamp.nanosec
    newest = begin + (WAITING - 1) * STEP
    assert stamp - first.forecast_age == pytest.approx(newest, abs=1e-3)
    assert stamp - first.skeleton_age == pytest.approx(newest, abs=1e-3)
    assert safety_node.statistics.problems["InputError"] == 2
    assert safety_node.statistics.handled >= 2 * WAITING
