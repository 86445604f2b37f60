"""A bag in the form that the nodes take: our topics, our messages, our frames."""

from __future__ import annotations

import math
from pathlib import Path

from ses_gcn_ros.bags.bag_messages import NANO, skeletons_message
from ses_gcn_ros.bags.bag_reader import open_bag
from ses_gcn_ros.bags.bag_types import message
from ses_gcn_ros.bags.bags import BagWriter
from ses_gcn_ros.replay.events import Events
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.topics import find_topics
from ses_gcn_ros.transforms import encode_transforms

_TF = "tf2_msgs/msg/TFMessage"


def write_normal_form(bag: Path, out: Path, options: Options, description: str) -> list[str]:
    """Write people and transforms of a bag, whatever their types and names were.

    Parameters
    ----------
    bag, out : Path
        Bag to read and bag to write; an earlier one is replaced.
    options : Options
        Names, and whether the recorded robot is left out for the simulated one.
    description : str
        URDF of the robot to write with it; empty for none.

    Returns
    -------
    list of str
        Topics that are played to the nodes.

    Raises
    ------
    BagError
        If the bag can't be read or the other can't be written.
    """
    written: dict[str, None] = {"skeletons": None}
    with open_bag(bag) as source, BagWriter(out, overwrite=True) as target:
        topics = find_topics(source.topics, options.topics())
        robot = () if options.demo_robot else ("/tf", "/tf_static", "joint_states")
        world = options.safety.world_frame
        events = Events(source, topics, options.naming, world, options.pose, robot)
        first = math.nan
        for event in events:
            stamp = round(event.time * NANO)
            if math.isnan(first):
                first = event.time
                if description:
                    text = message("std_msgs/msg/String", data=description)
                    target.write_message("/robot_description", stamp, text)
            if event.kind == "people":
                target.write_message("/skeletons", stamp, skeletons_message(event.content))
            elif event.kind in ("tf", "tf_static"):
                target.write(f"/{event.kind}", _TF, stamp, encode_transforms(event.content))
                written[f"/{event.kind}"] = None
            elif event.kind == "joint_states":
                target.write_message("/joint_states", stamp, event.content)
                written["joint_states"] = None
    return list(written)
