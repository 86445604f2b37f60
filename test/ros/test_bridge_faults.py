"""Safety node, bridge and a robot that obeys a simulated driver: what fails is named."""

from __future__ import annotations

import pytest
from fault_report import write_report
from faults import NODES, Fault, World, check, kill

from ses_gcn_ros.safety.obedience import DISOBEYS

BRIDGED = {
    **NODES,
    "robot": ("demo_robot", {"rate": 50.0, "driver": "ur"}),
    "safety": (
        NODES["safety"][0],
        {
            **NODES["safety"][1],
            "bridges": ["robot_bridge"],
            "obedience_tolerance": 0.05,
            "robot_reaction_time": 0.3,  # of a robot that waits for the processor
        },
    ),
    "bridge": (
        "robot_bridge",
        # a loaded machine may take long to answer, which is no fault of the driver's here
        {"driver": "ur", "robot_speed_max": 0.6, "deceleration": 1.8, "answer_within": 1.0},
    ),
}


@pytest.mark.slow
def test_a_bridge_that_dies_is_named_and_the_robot_that_goes_on_as_well(shared_cell):
    world = World(shared_cell, nodes=BRIDGED)
    silent = Fault(
        "robot bridge killed",
        kill("bridge"),
        lambda world: world.start("bridge"),
        r"robot_bridge stale: .* > 0\.10 s",
        0.1,
        hold=1.5,
    )
    check(world, silent, 0.0)
    # nobody tells the driver to stop any more, so that the robot goes on
    said = {reason for state in world.states for reason in state.reasons}
    assert any(reason.startswith(DISOBEYS) for reason in said), sorted(said)
    write_report(world.reactions)
