"""The clock that stamps are compared with leaps by a second, ahead or back: STOP, and named."""

from __future__ import annotations

import random

import pytest
from fault_report import REPEATS, write_report
from faults import Fault, World, check

CLOCK_FAULTS = [
    Fault(
        f"clock jumps {step:+g} s", lambda world, step=step: setattr(world, "offset", step),
        lambda world: setattr(world, "offset", 0.0), reason, 0.0,
    )
    for step, reason in ((1.0, "clock jumped ahead"), (-1.0, "clock went back"))
]  # fmt: skip


@pytest.mark.timeout(60 + 20 * REPEATS)
def test_a_leap_of_the_clock_stops_the_robot_and_is_named(cell):
    world = World(cell, simulated=True)
    moments = random.Random("clock")
    for _ in range(REPEATS):
        for fault in CLOCK_FAULTS:
            check(world, fault, moments.uniform(0.0, 0.5))
    write_report(world.reactions)
