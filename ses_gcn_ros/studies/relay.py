"""A bare relay: the least that a rclpy node between two topics can cost.

``python -m ses_gcn_ros.studies.relay forecasts`` answers each message on floor/skeletons
with a forecast of everybody in it, ``… states`` each on floor/forecasts with a state; what they
send is made once, and only its stamp is new. It imports next to nothing, which might cost.
"""

from __future__ import annotations

import sys
from array import array
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from ses_gcn_ros.msg import Forecast, ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.skeleton import get_layout

STEPS = 25


def make_forecasts(skeletons: SkeletonArray) -> ForecastArray:
    """Message of the size that the forecaster's answer has."""
    forecasts = []
    for skeleton in skeletons.skeletons:
        values = STEPS * len(get_layout(skeleton.layout).joints)
        forecasts.append(
            Forecast(
                person_id=skeleton.person_id,
                layout=skeleton.layout,
                steps=STEPS,
                positions=array("f", bytes(12 * values)),
                radius=array("f", bytes(4 * values)),
                model="relay",
            )
        )
    return ForecastArray(forecasts=forecasts)


def make_state(_: ForecastArray) -> SafetyState:
    """Message of the size that the safety node's answer has."""
    return SafetyState(
        person_id="person_0", human_limb="r_elbow-r_wrist", robot_frame="tool", reasons=["relay"]
    )


STAGES = {
    "forecasts": (
        SkeletonArray,
        "floor/skeletons",
        ForecastArray,
        "floor/forecasts",
        make_forecasts,
    ),
    "states": (ForecastArray, "floor/forecasts", SafetyState, "floor/safety_state", make_state),
}


def main(stage: str) -> None:
    """Relay until a signal comes."""
    kind_in, topic_in, kind_out, topic_out, make = STAGES[stage]
    signalled = process.prepare()
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node(f"relay_{stage}")
    publisher = node.create_publisher(kind_out, topic_out, qos.STREAM)
    made: Any = None

    def relay(message: Any) -> None:
        nonlocal made
        if made is None:
            made = make(message)
        made.header = message.header
        publisher.publish(made)

    node.create_subscription(kind_in, topic_in, relay, qos.STREAM)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    process.orderly_from_now_on()
    while not signalled.is_set():
        executor.spin_once(timeout_sec=0.1)
    process.leave(0)


if __name__ == "__main__":
    main(sys.argv[1])
