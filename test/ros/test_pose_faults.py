"""The first line of the fault table with a pose node that finds a person in images."""

from __future__ import annotations

import random

import pytest
from fault_report import REPEATS, write_report
from faults import NODES, Fault, World, check, kill, kills_last, pause, resume
from filmed_person import CAMERA_POSE, FilmedPerson

# an estimate may take a busy machine long: what is too old then is not what is tested
OLDEST = 0.5  # s
SAFETY, PARAMETERS = NODES["safety"]
FAULTS = [
    Fault(
        "pose node: kill -9", kill("pose"), lambda world: world.start("pose"), "skeletons", OLDEST
    ),
    Fault("pose node: SIGSTOP 2 s", pause("pose"), resume("pose"), "skeletons stale", OLDEST, 2.0),
]


@pytest.fixture(scope="module")
def world(shared_cell, media, model):
    cameras = {
        "model": model,
        "target_frame": "world",
        "camera_pose": CAMERA_POSE,
        "max_people": 1,
    }
    nodes = {
        **NODES,
        "safety": (SAFETY, {**PARAMETERS, "skeleton_age_max": OLDEST}),
        "pose": ("pose_node", cameras),
    }
    camera = FilmedPerson(shared_cell.node, media / "one_person.mp4")
    world = World(shared_cell, nodes=nodes, camera=camera)
    yield world
    write_report(world.reactions)


@pytest.mark.timeout(90 + 60 * REPEATS)
@pytest.mark.parametrize("fault", kills_last(FAULTS), ids=lambda fault: fault.name)
def test_the_robot_stops_when_the_pose_node_fails(world, fault):
    moments = random.Random(fault.name)
    for _ in range(REPEATS):
        check(world, fault, moments.uniform(0.0, 0.5))
