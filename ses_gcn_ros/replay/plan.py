"""A first look into a bag, before it is replayed."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass

from ses_gcn_ros.bags.bag_reader import AnyBag
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.replay.events import Events
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.topics import description_of, find_topics, source_of
from ses_gcn_ros.safety import Robots, SafetyConfig, read_robots


@dataclass(frozen=True)
class Plan:
    """What is known of a bag before it is replayed.

    Attributes
    ----------
    start : float
        Stamp of the first observation [s].
    observations : int
        How many messages of people there are.
    length : float
        Time of recording [s].
    safety : SafetyConfig
        With the robot's description filled in.
    robots : Robots or None
        None where nothing says what the robot looks like, or where it is.
    problems : list of str
        What has to be said already.
    from_images : bool
        Whether people are found in images, and not recorded as skeletons.
    """

    start: float
    observations: int
    length: float
    safety: SafetyConfig
    robots: Robots | None
    problems: list[str]
    from_images: bool


def make_plan(bag: AnyBag, options: Options) -> Plan:
    """Look into an open bag: what it holds and which robot it shows."""
    topics = find_topics(bag.topics, options.topics())
    source, kind = source_of(topics)
    first = _first_stamp(bag, topics, options)
    safety, problems = options.safety, []
    recorded = "/tf" in topics.values()
    if options.demo_robot:
        safety = dataclasses.replace(safety, robot_description="demo")
    elif not (safety.robot_description or safety.robot_frames):
        description = description_of(bag, topics)
        safety = dataclasses.replace(safety, robot_description=description)
        if not description:
            problems.append(
                "nothing says what the robot looks like: the bag has no robot_description; "
                "give --robot, or robot_frames in a parameter file, or --demo-robot "
                "(safety is not evaluated)"
            )
    if not recorded and not options.demo_robot and not problems:
        problems.append("the bag has no /tf that says where the robot is (safety is not evaluated)")
    begin, end = bag.span
    counted = bag.counts[source]
    robots = None if problems else read_robots(safety)
    return Plan(first, counted, (end - begin) * 1e-9, safety, robots, problems, kind == "image")


def _first_stamp(bag: AnyBag, topics: dict[str, str], options: Options) -> float:
    """Stamp of the first observation [s]."""
    wanted = ("/tf", "/tf_static")  # bodies of ROS4HRI come as frames
    world = options.safety.world_frame
    refused = ""
    events = Events(bag, topics, options.naming, world, options.pose, wanted).__iter__()
    with contextlib.closing(events):  # which releases the pose model
        for event in events:
            if event.kind == "people":
                return float(event.content.stamp)
            if event.kind == "refused" and not refused:
                refused = f": {event.content[1]}"
    source, kind = source_of(topics)
    nothing = "not an image that can be used" if kind == "image" else "nobody's skeleton on it"
    raise BagError(f"bag '{bag.path}' has the topic '{source}' but {nothing}{refused}")
