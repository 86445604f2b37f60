"""A recording has one time line, that of the cell's clock."""

from __future__ import annotations

import signal

from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from ses_gcn_ros.bags.rosbag2 import read_current
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_time

NOW = 1_700_000_000


def test_what_was_said_before_a_simulated_clock_began_is_at_its_beginning(cell, tmp_path):
    """Kept at zero, the robot's description made a recording of seconds last for decades."""
    robot = cell.publisher(String, "/robot_description", qos.LATCHED)
    notes = cell.publisher(String, "/notes", qos.STREAM)
    clock = cell.publisher(Clock, "/clock", qos.STREAM)
    reports = cell.listen(DiagnosticArray, "/diagnostics", 10)
    bag = tmp_path / "bag"
    topics = ["/robot_description", "/notes"]
    recorder = cell.start("bag_recorder", bag=str(bag), topics=topics, use_sim_time=True)
    robot.publish(String(data="<robot/>"))
    cell.wait_for_listeners(robot, notes, clock)
    notes.publish(String(data="nobody knows when"))

    def recorded() -> bool:
        clock.publish(Clock(clock=to_time(NOW)))
        notes.publish(String(data="now"))
        values = [v for report in reports for s in report.status for v in s.values]
        return any(v.key == "handled" and int(v.value) > 20 for v in values)

    cell.wait_for(recorded, "messages in the recording")
    recorder.send_signal(signal.SIGINT)
    cell.wait_for(lambda: recorder.poll() is not None, "the end of the recorder")
    assert recorder.returncode == 0
    messages = list(read_current(bag))
    assert {message.topic for message in messages} == set(topics)
    assert {message.stamp for message in messages} == {NOW * 10**9}


def test_people_are_recorded_once_what_comes_of_them_is(cell, tmp_path):
    """A replay begins when its people have all listeners; its first states used to be missed."""
    people = cell.publisher(SkeletonArray, "/skeletons", qos.STREAM)
    other = cell.publisher(String, "/notes", qos.STREAM)
    topics = ["/skeletons", "/notes", "/states"]
    cell.start(
        "bag_recorder", bag=str(tmp_path / "bag"), topics=topics, awaited=["/states"],
        awaited_for=3600.0,
    )  # fmt: skip
    cell.wait_for_listeners(other)
    assert people.get_subscription_count() == 0
    states = cell.publisher(String, "/states", qos.STREAM)
    cell.wait_for_listeners(states, people)
