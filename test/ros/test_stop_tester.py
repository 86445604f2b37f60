"""A cell that is recorded while its robot is stopped again and again, over DDS."""

from __future__ import annotations

from ses_gcn_ros.msg import SafetyState, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.replay.commissioning import read_cell
from ses_gcn_ros.replay.stops import stop_orders, time_to_rest
from ses_gcn_ros.safety import SafetyConfig

STOPS = 2
DEMO = {"robot_description": "demo", "robot_speed_max": 0.6, "deceleration": 1.8}
STOP_TIME = 0.3  # s, of the demo robot


def test_the_robot_is_stopped_so_often_and_its_times_are_measured(cell, tmp_path):
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    nobody = cell.publisher(SkeletonArray, "skeletons", qos.STREAM)

    def see_nobody() -> None:
        message = SkeletonArray()
        message.header.frame_id = "world"
        message.header.stamp = cell.node.get_clock().now().to_msg()
        nobody.publish(message)

    cell.node.create_timer(0.04, see_nobody)
    cell.start("demo_robot")
    cell.start("safety_node", **DEMO, forecast_lost_factor=1.0)
    cell.wait_for(lambda: states and states[-1].speed_factor >= 1.0, "full speed")
    recorder = cell.start("bag_recorder", bag=str(tmp_path / "bag"))
    tester = cell.start("stop_tester", stops=STOPS)
    cell.wait_for(lambda: tester.poll() is not None, "the end of the test")
    assert tester.returncode == 0
    cell.wait_for(lambda: states[-1].level == SafetyState.CLEAR, "the robot let go again")
    recorder.terminate()
    assert recorder.wait(20) == 0
    read = read_cell(tmp_path / "bag", SafetyConfig())
    assert read.track is not None
    orders = stop_orders(*read.factors)  # the last word of each deactivation
    assert 1 <= len(orders) <= STOPS  # the first may come before the recorder listens
    for order in orders:
        standing = time_to_rest(order, read.track)
        assert standing is not None
        assert 0.0 < standing[1] < STOP_TIME + 0.3  # on a machine that may be busy
