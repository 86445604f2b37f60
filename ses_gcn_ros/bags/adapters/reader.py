"""The people of a bag, whatever message type they come in."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ses_gcn_ros.bags.adapters.adapt import adapt
from ses_gcn_ros.bags.adapters.hri import HriBodies
from ses_gcn_ros.bags.bag_messages import NANO, Observation
from ses_gcn_ros.bags.bags import PathLike, read_messages, topics_of
from ses_gcn_ros.errors import BagError


def read_people(
    path: PathLike, topic: str = "skeletons", *, layout: str = "", frame_id: str = "world"
) -> Iterator[Observation]:
    """Observations of a bag in the order of their recording, one at a time.

    Parameters
    ----------
    path : str or Path
        Folder of a bag, or an mcap or db3 file.
    topic : str
        Topic of the people, of any type that `adapt` knows.
    layout, frame_id : str
        As for `adapt`.

    Raises
    ------
    BagError
        If the bag can't be read, has no such topic, or its type is unknown.
    InputError
        If a skeleton is unusable.
    """
    there = topics_of(path)
    read = adapt(there[topic], layout=layout, frame_id=frame_id)
    topics = [topic]
    if isinstance(read, HriBodies):
        topics += [name for name in read.topics if name in there]
        if len(topics) == 1:
            raise BagError(f"bag '{path}' has no /tf, which places the bodies of '{topic}'")
    for entry in read_messages(path, topics):
        if isinstance(read, HriBodies) and entry.topic != topic:
            read.observe_transforms(entry.content, static=entry.topic.endswith("_static"))
            continue
        observation = read(entry.content)
        if math.isnan(observation.stamp):  # nobody, in a type that then has no stamp either
            observation = observation._replace(stamp=entry.stamp / NANO)
        yield observation
