"""Messages that wait until somebody looks."""

from __future__ import annotations

import time

from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from ses_gcn_ros.nodes.polling import Mailbox


def test_the_last_message_of_each_sender_is_kept_in_the_order_they_came(node):
    mailbox = Mailbox(node, JointState, "joint_states", QoSProfile(depth=10), raw=True)
    sender = node.create_publisher(JointState, "joint_states", 10)
    while not (sender.get_subscription_count() and mailbox.subscription.get_publisher_count()):
        time.sleep(0.02)
    for number in range(3):
        sender.publish(JointState(name=["finger"], position=[float(number)]))
        sender.publish(JointState(name=["a", "b"], position=[float(number)] * 2))
    sender.publish(JointState(name=["finger"], position=[9.0]))
    time.sleep(0.2)
    last = [deserialize_message(data, JointState) for data in mailbox.latest()]
    assert [list(message.name) for message in last] == [["a", "b"], ["finger"]]
    assert [message.position[0] for message in last] == [2.0, 9.0]
    assert not list(mailbox.latest())
