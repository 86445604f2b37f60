"""``geometry_msgs/PoseArray`` as a list of joints, one person after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ses_gcn_ros.bags.adapters.joints import seen_skeleton
from ses_gcn_ros.bags.bag_messages import Observation, to_seconds
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import get_layout, layout_names


def poses_reader(layout: str = "") -> Callable[[Any], Observation]:
    """Return a reader of joints in the order of `layout`.

    Without a layout the number of poses has to tell it. An array carries no names: people are
    numbered in the order of the message, so a publisher of several has to keep that order.

    Raises
    ------
    InputError
        If the layout is unknown. The reader raises it where the number of poses fits no layout,
        several, or no whole number of people.
    """
    if layout:
        get_layout(layout)

    def read(content: Any) -> Observation:
        points = np.array(
            [(p.position.x, p.position.y, p.position.z) for p in content.poses], np.float32
        ).reshape(-1, 3)
        name = layout or _layout_of(len(points))
        joints = len(get_layout(name).joints)
        if len(points) % joints:
            raise InputError(
                f"a PoseArray of {len(points)} poses is no whole number of people; "
                f"layout {name} has {joints} joints"
            )
        people = [
            seen_skeleton(str(i), name, person)
            for i, person in enumerate(points.reshape(-1, joints, 3))
        ]
        return Observation(to_seconds(content.header.stamp), content.header.frame_id, people)

    return read


def _layout_of(count: int) -> str:
    if not count:
        return layout_names()[0]  # nobody has any layout
    fitting = [name for name in layout_names() if len(get_layout(name).joints) == count]
    if len(fitting) != 1:
        raise InputError(
            f"{count} poses may be the joints of {' or '.join(fitting) or 'no known layout'}; "
            f"say which with --layout (known: {', '.join(layout_names())})"
        )
    return fitting[0]
