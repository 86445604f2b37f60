"""Joints that mimic another: the fingers of a gripper."""

from __future__ import annotations

import numpy as np
import pytest

from ses_gcn_ros.errors import RobotError
from ses_gcn_ros.safety import Urdf

LINK = '<link name="{0}"><visual><geometry><sphere radius="0.02"/></geometry></visual></link>'
JOINT = """<joint name="{0}" type="prismatic"><parent link="hand"/><child link="{1}"/>
<axis xyz="0 1 0"/><limit lower="0" upper="0.04" velocity="0.1" effort="1"/>{2}</joint>"""


def gripper(mimic: str) -> str:
    """A hand with two fingers, the second of which follows."""
    links = "".join(LINK.format(name) for name in ("hand", "left", "right"))
    follower = JOINT.format("right_finger", "right", mimic)  # before the one that it follows
    return f"<robot name='g'>{links}{follower}{JOINT.format('left_finger', 'left', '')}</robot>"


def test_a_finger_goes_where_the_other_one_sends_it():
    urdf = Urdf(gripper('<mimic joint="left_finger" multiplier="-1" offset="0.01"/>'))
    placed = urdf.forward({"left_finger": 0.03})
    assert placed["left"][1, 3] == pytest.approx(0.03)
    assert placed["right"][1, 3] == pytest.approx(-0.02)


def test_multiplier_and_offset_may_be_left_out_and_a_state_of_its_own_goes_first():
    urdf = Urdf(gripper('<mimic joint="left_finger"/>'))
    assert urdf.forward({"left_finger": 0.03})["right"][1, 3] == pytest.approx(0.03)
    told = {"left_finger": 0.03, "right_finger": 0.0}
    np.testing.assert_allclose(urdf.forward(told)["right"][:3, 3], 0.0)


@pytest.mark.parametrize("mimic", ['joint="thumb"', 'joint="right_finger"', ""])
def test_a_joint_that_follows_none_is_refused_by_name(mimic):
    with pytest.raises(RobotError, match=r"joint 'right_finger' mimics"):
        Urdf(gripper(f"<mimic {mimic}/>"))


def test_xacro_that_nobody_expanded_is_called_so():
    text = (
        '<robot name="r" xmlns:xacro="http://www.ros.org/wiki/xacro">'
        '<xacro:property name="length" value="0.4"/><link name="base"/></robot>'
    )
    with pytest.raises(RobotError, match="is xacro, which nobody has expanded"):
        Urdf(text)
