"""What people did, as a recording tells it: stretches of time with a label."""

from __future__ import annotations

from ses_gcn_ros.actions.recogniser import label_changes
from ses_gcn_ros.bags.reading import PathLike, read_messages, topics_of
from ses_gcn_ros.errors import BagError

Segment = tuple[str, float, float, str]  # person, start and end [s], label


def recorded_actions(bag: PathLike) -> list[Segment]:
    """Who did what when, from the topic ``actions`` of a bag; empty where nobody recorded it.

    Raises
    ------
    BagError
        If the bag can't be read.
    """
    if not any(topic.rpartition("/")[2] == "actions" for topic in topics_of(bag)):
        return []
    told: dict[str, list[tuple[float, str]]] = {}
    try:
        for entry in read_messages(bag, ["actions"]):
            stamp = entry.content.header.stamp
            for action in entry.content.actions:
                seconds = stamp.sec + stamp.nanosec * 1e-9
                told.setdefault(action.person_id, []).append((seconds, action.label))
    except BagError:  # cut off: what came before counts
        if not told:
            raise
    return [
        (person, start, end, label)
        for person, labels in told.items()
        for start, end, label in label_changes(labels)
    ]
