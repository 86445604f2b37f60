"""The clock that stamps are compared with leaps by a second, crawls or races: STOP, and named."""

from __future__ import annotations

import random

import pytest
from fault_report import REPEATS, write_report
from faults import Fault, World, check

CLOCK_FAULTS = [
    *(
        Fault(
            f"clock jumps {step:+g} s", lambda world, step=step: setattr(world, "offset", step),
            lambda world: setattr(world, "offset", 0.0), reason, 0.0,
        )
        for step, reason in ((1.0, "clock jumped ahead"), (-1.0, "clock went back"))
    ),
    *(
        Fault(
            f"clock at {100 * pace:.0f} % of real time",
            lambda world, pace=pace: setattr(world, "pace", pace),
            lambda world: setattr(world, "pace", 1.0), "clock runs at", limit, limit + 1.0,
        )
        for pace, limit in ((0.02, 1.6), (1.9, 1.7))
    ),
]  # fmt: skip


@pytest.mark.timeout(120 + 120 * REPEATS)
def test_a_wrong_clock_stops_the_robot_and_is_named(cell):
    world = World(cell, simulated=True)
    moments = random.Random("clock")
    for _ in range(REPEATS):
        for fault in CLOCK_FAULTS:
            check(world, fault, moments.uniform(0.0, 0.5))
        write_report(world.reactions)  # each round, for fifty take most of an hour
        world.reactions.clear()
