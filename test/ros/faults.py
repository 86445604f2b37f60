"""What goes wrong in the fault table's tests over DDS, the world of it, and what must follow."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distant_person import DistantPerson
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.bringup import DEMO_ROBOT
from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_time

SLACK = 0.35  # s on top of a limit: a frame, a state, and what a machine does beside its work
QUICK = {"release_time": 0.1, "recovery_rate": 10.0}  # so that the robot is soon free again
NODES = {
    "robot": ("demo_robot", {"rate": 50.0}),
    "forecaster": ("forecaster_node", {}),
    "safety": ("safety_node", {**DEMO_ROBOT, **QUICK}),
}
CAMERA = Path(__file__).with_name("distant_person.py")


class World:
    """Robot, forecaster and safety node as processes; the camera is in this one, or a fourth."""

    def __init__(self, cell, *, simulated: bool = False, nodes=NODES, camera: Any = None) -> None:
        self.cell = cell
        self.nodes = nodes
        self.simulated = simulated
        self.offset, self.pace = 0.0, 1.0  # of the simulated clock: s ahead, and how fast it runs
        self._ticked = time.monotonic()
        self.false_robot: Any = None  # timer of who takes the robot's place
        self.stranger: Any = None  # publisher of somebody else's
        self.reactions: dict[str, tuple[float, list[float]]] = {}  # limit and times by fault [s]
        self.states = cell.listen(SafetyState, "safety_state", qos.STREAM)
        self.forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
        self.skeletons = cell.listen(SkeletonArray, "skeletons", qos.STREAM)
        self.transforms = cell.publisher(TFMessage, "/tf", qos.STREAM)
        self._reset = cell.node.create_client(Trigger, "/safety_node/reset")
        self._looked = 0.0  # when somebody last looked for the lost
        if simulated:
            clock = cell.publisher(Clock, "/clock", qos.STREAM)
            cell.node.set_parameters([Parameter("use_sim_time", Parameter.Type.BOOL, True)])
            steady = RosClock(clock_type=ClockType.STEADY_TIME)
            cell.node.create_timer(0.01, lambda: clock.publish(self._clock()), clock=steady)
        for name in nodes:
            self.start(name)
        self.camera = camera or DistantPerson(cell.node)
        self.camera.start()

    def _clock(self) -> Clock:
        before, self._ticked = self._ticked, time.monotonic()
        self.offset += (self.pace - 1.0) * (self._ticked - before)
        return Clock(clock=to_time(1000.0 + self._ticked + self.offset))

    def start(self, name: str) -> None:
        """Start a process of the cell, or start it again."""
        executable, parameters = self.nodes[name]
        if self.simulated:
            parameters = {**parameters, "use_sim_time": True}
        process = self.cell.start(executable, **parameters)
        # a pipe that nobody empties holds up the node that logs into it
        threading.Thread(target=process.stderr.read, daemon=True).start()

    def process(self, name: str) -> subprocess.Popen:
        return self.cell.processes[self.nodes[name][0] if name in self.nodes else name]

    def hand_over_camera(self) -> None:
        """Let a process of its own play the camera."""
        self.camera.stop()
        path = os.pathsep.join(part for part in (os.getcwd(), *sys.path) if part)
        self.cell.processes["camera"] = subprocess.Popen(
            [sys.executable, str(CAMERA)], env={**os.environ, "PYTHONPATH": path}
        )
        seen = len(self.skeletons)
        self.cell.wait_for(lambda: len(self.skeletons) > seen, "the camera's process")

    def take_camera_back(self) -> None:
        camera = self.cell.processes.pop("camera")
        camera.terminate()
        camera.send_signal(signal.SIGCONT)  # of one that stands still
        camera.wait()
        self.camera.well()
        self.camera.start()

    def wait_until_clear(self) -> None:
        """Wait until the robot runs free, and release whoever is lost, as who has looked does."""

        heard = len(self.states)

        def clear() -> bool:
            now, reasons = time.monotonic(), self.states[-1].reasons if self.states else ()
            if now - self._looked > 1.0 and any(" lost at " in reason for reason in reasons):
                self._looked = now
                self._reset.call_async(Trigger.Request())
            return len(self.states) > heard and self.states[-1].level == SafetyState.CLEAR

        self.cell.wait_for(clear, lambda: f"a free robot; last {self.last}")

    @property
    def last(self) -> str:
        if not self.states:
            return "nothing heard"
        state = self.states[-1]
        return f"level {state.level}: {'; '.join(state.reasons)}"

    def pass_time(self, seconds: float) -> None:
        """Go on for some time: what happens meanwhile is what is tested."""
        deadline = time.monotonic() + seconds
        self.cell.wait_for(lambda: time.monotonic() >= deadline, "time to pass", seconds + 10)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
    - `inject`: makes it go wrong.
    - `heal`: makes it good again.
    - `reason`: regular expression that a reason of the state has to match.
    - `limit`: s within which the state has to be STOP and name the reason.
    - `hold`: s from the injection during which the robot must not run free.
    - `prepare`: done beforehand, while all is well.
    - `free`: whether the robot runs free after that.
    - `from_start`: whether it begins with a new safety node, whose first state has to name it.
    """

    name: str
    inject: Callable[[World], None]
    heal: Callable[[World], None]
    reason: str
    limit: float
    hold: float = 0.0
    prepare: Callable[[World], None] = lambda world: None
    free: bool = True
    from_start: bool = False


def kill(name: str) -> Callable[[World], None]:
    """Injection of a kill -9 of a process."""

    def now(world: World) -> None:
        world.process(name).kill()
        world.process(name).wait()

    return now


def kills_last(faults: list[Fault]) -> list[Fault]:
    """The faults in an order that takes less time: DDS takes who was killed as there for 20 s."""
    return sorted(faults, key=lambda fault: "kill -9" in fault.name)


def pause(name: str) -> Callable[[World], None]:
    """Injection of a SIGSTOP of a process."""
    return lambda world: world.process(name).send_signal(signal.SIGSTOP)


def resume(name: str) -> Callable[[World], None]:
    """What ends that."""
    return lambda world: world.process(name).send_signal(signal.SIGCONT)


def waited_for_processor(world: World) -> dict[int, dict[str, float]]:
    """Seconds that each thread of each process was ready to run and not let on the processor."""
    processes = [p.pid for p in world.cell.processes.values() if p.poll() is None]
    waited: dict[int, dict[str, float]] = {}
    for pid in [os.getpid(), *processes]:
        waited[pid] = {}
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # a thread that ended meanwhile
                waited[pid][path.parent.name] = int(path.read_text().split()[1]) * 1e-9
    return waited


def kept_waiting(world: World, before: dict[int, dict[str, float]]) -> float:
    """Seconds since `before` of the thread of each process that waited longest, one after another.

    Nobody can answer in a time in which a busy machine does other work.
    """
    now = waited_for_processor(world)
    return sum(
        max((s - before[pid].get(thread, 0.0) for thread, s in threads.items()), default=0.0)
        for pid, threads in now.items()
        if pid in before
    )


def check(world: World, fault: Fault, moment: float) -> None:
    """Inject a fault once, after a random time, and hold the answer against what must come."""
    world.wait_until_clear()
    fault.prepare(world)
    if fault.free:
        world.wait_until_clear()
    world.pass_time(moment)
    before = waited_for_processor(world)
    seen, injected = len(world.states), time.monotonic()
    try:
        fault.inject(world)
        reaction = _await_answer(world, fault, min(seen, len(world.states)), injected)
        waited = kept_waiting(world, before)
        stopped = len(world.states)
        world.pass_time(max(injected + fault.hold - time.monotonic(), 0.0))
        for state in world.states[stopped:]:
            assert state.level == SafetyState.STOP, f"{fault.name}: {list(state.reasons)}"
            assert state.speed_factor == 0.0
    finally:
        fault.heal(world)
    said = f"{fault.name}: {reaction:.2f} s, {waited:.2f} s of waiting for the processor"
    assert reaction <= fault.limit + SLACK + waited, said


def _await_answer(world: World, fault: Fault, seen: int, injected: float) -> float:
    """Seconds until a state says STOP and names the fault."""

    def names(state: SafetyState) -> bool:
        return any(re.search(fault.reason, reason) for reason in state.reasons)

    def answered() -> bool:
        return any(s.level == SafetyState.STOP and names(s) for s in world.states[seen:])

    deadline = time.monotonic() + 5.0
    world.cell.wait_for(lambda: answered() or time.monotonic() > deadline, "an answer")
    said = sorted({reason for state in world.states[seen:] for reason in state.reasons})
    assert answered(), f"no STOP for '{fault.reason}' but {said[-8:]}"
    reaction = time.monotonic() - injected
    if fault.from_start:  # how long the safety node took to start is not of interest
        assert names(world.states[0]), world.last
        reaction = 0.0
    world.reactions.setdefault(fault.name, (fault.limit, []))[1].append(reaction)
    return reaction
