"""The robot of a recording, for nodes that a file is easier to hand to than a text."""

from __future__ import annotations

from pathlib import Path

from ses_gcn_ros.bags.bags import PathLike, open_bag
from ses_gcn_ros.replay.topics import Naming, description_of, find_topics


def write_recorded_robot(bag: PathLike, path: Path) -> str:
    """Write the URDF that was recorded into a file; its path, or nothing if none was recorded.

    Raises
    ------
    BagError
        If the bag can't be read or shows nobody.
    """
    with open_bag(bag) as opened:
        description = description_of(opened, find_topics(opened.topics, Naming()))
    if not description:
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(description, encoding="utf-8")
    return str(path)
