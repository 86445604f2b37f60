"""Which nodes make up a workcell, and their processes, for commands and launch files.

And the parameters of the nodes that play, record and test, which have no room of their own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_folder, share_path

if TYPE_CHECKING:
    from rich.console import Console

Value = bool | int | float | str | list[str]

HIGHEST_DOMAIN = 232  # DDS-RTPS 9.6.1: beyond it the port numbers run out

# What the demo robot does at full speed, for the node that watches it [m/s, m/s²]. Whether it obeys
# nobody looks: as a process it may have to wait for the processor, which no robot does.
DEMO_ROBOT: Mapping[str, Value] = {
    "robot_description": "demo",
    "robot_speed_max": 0.6,
    "deceleration": 1.8,
    "obedience_tolerance": 0.0,
}


@dataclass(frozen=True)
class PlayerConfig:
    """Parameters of the bag player."""

    bag: str = option("", "Bag folder or file to play; the sample recording when empty.")
    topics: tuple[str, ...] = option(
        (), "Topics of the bag to play; skeletons, and TF where recorded, when empty."
    )
    rate: float = option(
        1.0, "Recorded seconds played per second of real time.", minimum=0.01, maximum=100.0
    )
    clock_frequency: float = option(
        100.0, "How often /clock is published [Hz of real time].", minimum=10.0, maximum=1000.0
    )
    lead_in: float = option(
        1.0,
        "Time on /clock before the first message [s], for nodes to settle.",
        minimum=0.0,
        maximum=3600.0,
    )
    subscribers: int = option(
        1,
        "Listeners that each topic but the robot's must have before playing begins.",
        minimum=0,
        maximum=1000,
    )
    autostart: bool = option(True, "Configure and activate without being asked to.")


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of the bag recorder."""

    bag: str = option("", "Bag folder to write; must not exist yet.")
    topics: tuple[str, ...] = option(
        (
            "skeletons",
            "forecasts",
            "actions",
            "safety_state",
            "speed_scaling",
            "joint_states",
            "robot_description",
            "/tf",
            "/tf_static",
            "/diagnostics",
        ),
        "Topics to record.",
    )
    awaited: tuple[str, ...] = option(
        (),
        "Topics to receive before skeletons are recorded, as a replay waits for who records these.",
    )
    awaited_for: float = option(
        10.0, "How long these are waited for at most [s].", minimum=0.0, maximum=3600.0
    )
    autostart: bool = option(True, "Configure and activate without being asked to.")


@dataclass(frozen=True)
class TesterConfig:
    """Parameters of the stop tester."""

    stops: int = option(12, "Stops; 0 to wait only.", minimum=0, maximum=1000000)
    seconds: float = option(
        20.0, "How long to wait [s], without stops.", minimum=0.0, maximum=1000000.0
    )
    safety_node: str = option("safety_node", "Name of the safety node that is deactivated.")
    autostart: bool = option(True, "Configure and activate without being asked to.")


@dataclass(frozen=True)
class NodePlan:
    """One node to bring up."""

    # for ``ros2 run ses_gcn_ros``; also the node's own name
    executable: str
    # parameters on top of those of the parameter file
    parameters: Mapping[str, Value] = field(default_factory=dict)
    # whether its regular end ends the whole run, as that of a recording does
    ends_run: bool = False
    # within the cell's, as that of one of several cameras; empty for the cell's own
    namespace: str = ""

    @property
    def name(self) -> str:
        """Name that no other node of the cell has."""
        return f"{self.namespace}/{self.executable}" if self.namespace else self.executable

    def namespace_in(self, cell: str) -> str:
        """Namespace in a cell that has the namespace `cell`, or none."""
        if not (cell and self.namespace):
            return cell or self.namespace
        return f"{cell.rstrip('/')}/{self.namespace}"


def plan_workcell(
    *,
    bag: str = "",
    video: str = "",
    cameras: str = "",
    calibration: str = "",
    rate: float = 1.0,
    demo_robot: bool = False,
    driver: str = "",
    record: str = "",
    use_sim_time: bool = False,
    actions: bool = False,
) -> list[NodePlan]:
    """Nodes of a workcell: where skeletons come from, forecaster, safety node, extras.

    Its parameters are the options of ``ses-gcn up``, empty for none. Each of several `cameras` has
    a pose node in a namespace of its name, and a fusion node makes one set of skeletons of what
    they see; where they are, says the file `calibration` or TF. Raises ConfigError for two sources
    at once, cameras without proper names, or a file that is not there.
    """
    sources = [n for n, s in (("bag", bag), ("video", video), ("cameras", cameras)) if s]
    if len(sources) > 1:
        raise ConfigError(
            f"{' and '.join(sources)} are both given; skeletons come from one of them"
        )
    for name, path in (("bag", bag), ("video", video), ("calibration", calibration)):
        if path and path != "sample" and not Path(path).exists():
            raise ConfigError(f"{name} '{path}' does not exist; give the path of a {name}")
    plans = []
    if record:
        recording: dict[str, Value] = {"bag": record}
        if bag or video:
            recording["awaited"] = ["forecasts", "safety_state"]
        plans.append(NodePlan("bag_recorder", recording))
    robot: Mapping[str, Value] = {}
    if demo_robot:
        robot = DEMO_ROBOT
        plans.append(NodePlan("demo_robot", {"driver": driver} if driver else {}))
    # What a recording teaches about the radius is nothing for the cell's next start.
    recorded: Mapping[str, Value] = {"adaptive_state": "none"} if bag or video else {}
    # A recording may be played at any pace.
    watched: Mapping[str, Value] = {**robot, "replay": True} if bag else robot
    if driver:
        watched = {**watched, "bridges": ["robot_bridge"]}
        known = {k: v for k, v in robot.items() if k in ("robot_speed_max", "deceleration")}
        plans.append(NodePlan("robot_bridge", {"driver": driver, **known}))
    by_action: Mapping[str, Value] = {"adaptive_actions": True} if actions else {}
    forecaster = NodePlan("forecaster_node", {**recorded, **by_action})
    plans += [forecaster, NodePlan("safety_node", watched)]
    if actions:
        plans.append(NodePlan("action_node"))
    listeners = 2 + bool(record) + actions
    if bag:
        # The forecaster, the safety node and perhaps others must hear the first message.
        source: dict[str, Value] = {"bag": "" if bag == "sample" else bag, "rate": rate}
        source["subscribers"] = listeners
        if demo_robot:
            source["topics"] = ["skeletons"]  # the robot of the recording would be a second one
        plans.append(NodePlan("bag_player", source, ends_run=True))
    elif video:
        source = {"source": "video", "video": video, "exit_at_end": True}
        source["subscribers"] = listeners
        plans.append(NodePlan("pose_node", source, ends_run=True))
    elif cameras or calibration:
        plans += _plan_cameras(cameras, calibration)
    else:
        plans.append(NodePlan("pose_node"))
    clock: Mapping[str, Value] = {"use_sim_time": bool(bag) or use_sim_time}
    return [
        p  # it makes the clock, it doesn't follow it
        if p.executable == "bag_player"
        else replace(p, parameters={**p.parameters, **clock})
        for p in plans
    ]


def _plan_cameras(names: str, calibration: str) -> list[NodePlan]:
    cameras = [name.strip() for name in names.split(",")] if names else []
    for name in cameras:
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            raise ConfigError(
                f"cameras is '{names}', but '{name}' is no name for a namespace; take letters, "
                "digits and _, such as left,right"
            )
    if len(set(cameras)) < 2 or len(set(cameras)) < len(cameras):
        raise ConfigError(
            f"cameras is '{names}'; it takes two different names at least, such as left,right"
        )
    fusion: dict[str, Value] = {"cameras": cameras}
    if calibration:
        fusion["calibration"] = calibration
    # Where a camera stands is the fusion node's business: what the parameter file says of the one
    # camera of a cell would be wrong for all of them.
    pose: Mapping[str, Value] = {"target_frame": "", "camera_pose": []}
    poses = [
        NodePlan("pose_node", {"camera_frame": f"{name}_optical_frame", **pose}, namespace=name)
        for name in cameras
    ]
    return [*poses, NodePlan("fusion_node", fusion)]


def with_robot(plans: Sequence[NodePlan], urdf: str) -> list[NodePlan]:
    """The plans, with the safety node told which robot to watch; as they are without one."""
    told: Mapping[str, Value] = {"robot_description": urdf} if urdf else {}
    return [
        replace(plan, parameters={**plan.parameters, **told})
        if plan.executable == "safety_node"
        else plan
        for plan in plans
    ]


def plan_demo(
    record: Path, *, video: str = "", rate: float = 1.0, actions: bool = False, driver: str = ""
) -> list[NodePlan]:
    """Nodes of the demo: the sample recording or a video, the demo robot, everything recorded.

    With a `driver` the demo robot obeys a simulation of that one, and a bridge speaks to it.
    """
    return plan_workcell(
        bag="" if video else "sample",
        video=video,
        rate=rate,
        demo_robot=True,
        driver=driver,
        record=str(record),
        actions=actions,
    )


def fresh_recording(out: Path) -> Path:
    """Path for the demo's recording in the folder `out`; that of an earlier demo is removed.

    Raises ConfigError if a bag is there that no demo has recorded.
    """
    check_folder(out, "metrics.csv")
    bag, mark = out / "bag", out / ".recorded_by_demo"
    if bag.exists() and not mark.exists():
        raise ConfigError(f"'{bag}' is not from an earlier demo; choose another folder with -o")
    if bag.exists():
        shutil.rmtree(bag)
    out.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return bag


def targeted_parameters(plans: Sequence[NodePlan]) -> dict[str, Value]:
    """Parameters of several nodes in one process, each name with its node's before it.

    Raises ConfigError if a node has a namespace of its own, which ROS gives to a whole process.
    """
    for plan in plans:
        if plan.namespace:
            raise ConfigError(
                f"{plan.name} has a namespace of its own and so needs a process of its own; "
                "several cameras don't run in a single process"
            )
    return {
        f"{plan.executable}:{name}": value
        for plan in plans
        for name, value in plan.parameters.items()
    }


def chosen_domain() -> int | None:
    """ROS domain that the user set, None for none; raises ConfigError for one that can't be."""
    domain = os.environ.get("ROS_DOMAIN_ID")
    if not domain:
        return None
    if not domain.isdigit() or int(domain) > HIGHEST_DOMAIN:
        raise ConfigError(f"ROS_DOMAIN_ID is '{domain}'; it takes 0 to {HIGHEST_DOMAIN}")
    return int(domain)


def ros_arguments(
    parameters: Mapping[str, Value],
    *,
    params_file: str = "",
    namespace: str = "",
    log_level: str = "info",
) -> list[str]:
    """Command line of a node: parameter file first, so that `parameters` override it.

    The file is ``config/workcell.yaml`` by default. Raises ConfigError if it does not exist.
    """
    path = Path(params_file) if params_file else share_path("config", "workcell.yaml")
    if not path.is_file():
        raise ConfigError(f"params_file '{path}' does not exist; give the path of a YAML file")
    arguments = ["--ros-args", "--log-level", log_level, "--params-file", str(path)]
    if namespace:
        arguments += ["-r", f"__ns:=/{namespace.strip('/')}"]
    for name, value in parameters.items():
        # JSON is YAML, and keeps '1' a string and 1.0 a float.
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    return arguments


_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_PATIENCE = 4.0  # s for a child to end after a signal before it is killed
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# DDS-RTPS 9.6.1: ports of a domain start at 7400 + 250 d; participant p takes unicast 10 + 2 p.
_PORT_BASE, _PORT_GAIN, _UNICAST_OFFSET, _PARTICIPANT_GAIN = 7400, 250, 10, 2
_CLAIM_OFFSET = 9  # which DDS leaves alone
_claims: list[socket.socket] = []  # of the domains that this process chose, held until it ends
_PROBED_PARTICIPANTS = 8
_CANDIDATES = range(60, 100)  # 0–101 keep clear of the ephemeral ports of Linux


def check_ros() -> None:
    """Make sure that nodes can run here.

    Raises ConfigError if ROS 2 or the built messages are not there.
    """
    for module in ("rclpy", "ses_gcn_ros.msg"):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"nodes need ROS 2, but the module {module} is not installed; run `make setup` in "
                "a checkout, or build the package with colcon in a ROS 2 distribution"
            )


class ProcessGroup:
    """Start nodes as processes; when one dies or a signal comes, end all of them.

    Use it as a context manager: leaving the context ends what still runs.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ending: set[str] = set()
        self._signalled = threading.Event()

    def __enter__(self) -> ProcessGroup:
        check_ros()
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._signalled.set())
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(
        self,
        *plans: NodePlan,
        environment: Mapping[str, str] | None = None,
        namespace: str = "",
        **options: str,
    ) -> None:
        """Start one process for the nodes of `plans`, with `options` of `ros_arguments`."""
        executables = [plan.executable for plan in plans]
        name = ", ".join(plan.name for plan in plans)
        parameters = plans[0].parameters if len(plans) == 1 else targeted_parameters(plans)
        place = plans[0].namespace_in(namespace)
        arguments = ros_arguments(parameters, namespace=place, **options)
        command = [sys.executable, "-m", "ses_gcn_ros.nodes", *executables, *arguments]
        self._children[name] = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends them in order
            preexec_fn=_prepare_child,
        )
        if any(plan.ends_run for plan in plans):
            self._ending.add(name)

    @property
    def interrupted(self) -> bool:
        """Whether a signal came."""
        return self._signalled.is_set()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run, by the names of their nodes."""
        return {name: c.pid for name, c in self._children.items() if c.poll() is None}

    def wait(self) -> int:
        """Wait for the end: of a run that ends by itself, by a signal, or by a death.

        Gives 0 for the first two, and 1 after a death, which is reported by name.
        """
        while not self._signalled.is_set():
            for name, child in self._children.items():
                code = child.poll()
                if code is None:
                    continue
                if code == 0 and name in self._ending:
                    return 0
                how = (
                    f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited {code}"
                )
                self._console.print(f"{name} {how}; ending the other nodes", style="red")
                return 1
            self._signalled.wait(0.05)
        return 0

    def end(self) -> None:
        """End every child: asked first, killed if it doesn't."""
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE
        for name, child in self._children.items():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._console.print(
                    f"{name} did not end within {_PATIENCE:g} s; killed", style="red"
                )
                child.kill()
                child.wait()
        self._children.clear()


def _prepare_child() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # which wait until the node listens for them
    die_with_parent()


def die_with_parent() -> None:
    """End this child process when the one that started it ends, however that comes about."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork inherits what its parent makes of it
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def demo_environment() -> dict[str, str]:
    """Environment for a run of its own: a free domain, discovery on this machine alone.

    Raises ConfigError if ROS_DOMAIN_ID is set to a domain that is in use, or that doesn't exist.
    """
    domain = chosen_domain()
    if domain is None:
        domain = next((d for d in _CANDIDATES if not _in_use(d) and _claim(d)), None)
        if domain is None:
            raise ConfigError(
                f"ROS domains {_CANDIDATES[0]} to {_CANDIDATES[-1]} are all in use; "
                "set ROS_DOMAIN_ID to a free one"
            )
    elif _in_use(domain):
        raise ConfigError(
            f"ROS domain {domain} is in use on this machine (UDP port {_port(domain, 0)} and "
            "following); end what uses it, or set ROS_DOMAIN_ID to a free one or unset it"
        )
    return {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def _port(domain: int, participant: int) -> int:
    return _PORT_BASE + _PORT_GAIN * domain + _UNICAST_OFFSET + _PARTICIPANT_GAIN * participant


def _claim(domain: int) -> bool:
    """Take a domain, unless another process that has no nodes there yet has done so."""
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", _PORT_BASE + _PORT_GAIN * domain + _CLAIM_OFFSET))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _in_use(domain: int) -> bool:
    for participant in range(_PROBED_PARTICIPANTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", _port(domain, participant)))
            except OSError:
                return True
    return False
