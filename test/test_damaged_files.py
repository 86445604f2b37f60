"""Weights, arrays, pickles, parameters, robots, tables and messages, damaged at random.

Whatever is read is read, or refused in one sentence; see `mutants`. Bags, journals and summaries
are in replay/test_damaged_input.py.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from mutants import survive
from recorded_run import forecasts_message

from ses_gcn_ros.actions.weights import read_action_weights, write_action_weights
from ses_gcn_ros.audit import AuditLog, verify
from ses_gcn_ros.bags.messages import (
    Observation,
    header_message,
    message,
    skeletons_message,
    time_message,
    typestore,
)
from ses_gcn_ros.datasets.actions import (
    read_action_npz,
    read_actions,
    read_segments,
    write_segments,
)
from ses_gcn_ros.datasets.mocap import read_collaboration
from ses_gcn_ros.datasets.sequences import read_recording, write_recording
from ses_gcn_ros.datasets.sources import read_dataset
from ses_gcn_ros.forecast.forecaster import Forecast, forecasts_from_message
from ses_gcn_ros.forecast.weights import read_weights, write_weights
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.lifting import (
    LiftingConfig,
    LiftingWeights,
    build_lifter,
    make_network,
    read_lifting_weights,
    write_lifting_weights,
)
from ses_gcn_ros.pose.calibration import (
    CameraPlace,
    read_calibration,
    read_intrinsics,
    write_calibration,
)
from ses_gcn_ros.pose.camera import camera_from_info
from ses_gcn_ros.pose.depth import decode_depth_message
from ses_gcn_ros.pose.images import decode_image_message
from ses_gcn_ros.replay.options import node_parameters
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import (
    Assessment,
    Level,
    SafetyConfig,
    SeparationMonitor,
    Urdf,
    read_robots,
)
from ses_gcn_ros.safety.robot_motion import read_plan
from ses_gcn_ros.skeleton import Skeleton, skeletons_from_message
from ses_gcn_ros.studies.journal import _read
from ses_gcn_ros.transforms import (
    StampedTransform,
    TransformBuffer,
    decode_transforms,
    encode_transforms,
)

for folder in ("forecast", "datasets", "actions"):
    sys.path.append(str(Path(__file__).parent / folder))
from official_state import human36m_state  # noqa: E402
from small_files import write_asf_amc, write_chico, write_h36m  # noqa: E402
from small_network import random_weights  # noqa: E402
from untrained import make_weights  # noqa: E402


def forecast_weights(folder: Path) -> Path:
    path = folder / "w.safetensors"
    write_weights(path, make_weights(ModelConfig(layout="chico15", observed=10, horizon=5)))
    return path


def action_weights(folder: Path) -> Path:
    path = folder / "a.safetensors"
    write_action_weights(path, random_weights(width=4))
    return path


def recording(folder: Path) -> Path:
    (sequence,) = read_dataset(write_chico(folder / "chico", {"S00/hammer": 12})).sequences
    path = folder / "r.npz"
    write_recording(path, [sequence], {"data": "made up"})
    return path


def read_through(path: Path) -> None:
    for sequence in read_recording(path).sequences:
        sequence.positions  # noqa: B018  # as training does


def pickled(folder: Path) -> Path:
    write_chico(folder, {"S00/hammer": 4})
    return folder / "S00" / "hammer.pkl"


def parameters(folder: Path) -> Path:
    path = folder / "cell.yaml"
    path.write_bytes(share_path("config", "workcell.yaml").read_bytes())
    return path


def robot(folder: Path) -> Path:
    path = folder / "cell.urdf"
    path.write_bytes(share_path("config", "demo", "cell.urdf").read_bytes())
    return path


def calibration(folder: Path) -> Path:
    path = folder / "cameras.yaml"
    places = [CameraPlace(name, f"{name}_frame", np.eye(4), 0.5) for name in ("left", "right")]
    write_calibration(path, "world", places, "board")
    return path


def segments(folder: Path) -> Path:
    path = folder / "actions.csv"
    write_segments(path, [("p1", 0.0, 1.5, "walk"), ("p2", 0.5, 2.0, "reach_up")])
    return path


def recipe(*names: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / names[-1]
        path.write_bytes(share_path("config", *names).read_bytes())
        return path

    return make


def state_dict(folder: Path) -> Path:
    torch = pytest.importorskip("torch")
    path = folder / "state.pth"
    torch.save(human36m_state(horizon=2, joints=15, observed=10), path)
    return path


def read_recipe(path: Path) -> Any:
    pytest.importorskip("torch")
    from ses_gcn_ros.training.recipe import load_recipe

    return load_recipe(str(path))


def read_action_recipe(path: Path) -> Any:
    pytest.importorskip("torch")
    from ses_gcn_ros.training.actions import load_action_recipe

    return load_action_recipe(str(path))


def read_official(path: Path) -> None:
    from ses_gcn_ros.forecast.official import import_official

    made = path.with_suffix(".safetensors")
    import_official(path, made)
    made.unlink()


def mask(folder: Path) -> Path:
    path = folder / "mask.npy"
    np.save(path, np.ones((5, 10, 15, 15), np.float32))
    return path


def read_mask(path: Path) -> Any:
    from ses_gcn_ros.forecast.official import _read_mask

    return _read_mask(path, (5, 10, 15, 15))


def attack_case(folder: Path) -> Path:
    from ses_gcn_ros.studies.attack_search import NUMBERS, SCENARIOS

    path = folder / "worst.json"
    case = {"scenario": next(iter(SCENARIOS)), "variant": "alone", "numbers": [0.5] * NUMBERS}
    path.write_text(json.dumps({**case, "seed": 3}), "utf-8")
    return path


def read_attack_case(path: Path) -> Any:
    from ses_gcn_ros.studies.attack_search import read_case

    return read_case(path)


def intrinsics(folder: Path) -> Path:
    path = folder / "left.yaml"
    content = {
        "image_width": 1280,
        "image_height": 720,
        "distortion_model": "plumb_bob",
        "camera_matrix": {"data": [900.0, 0, 640.0, 0, 900.0, 360.0, 0, 0, 1]},
        "distortion_coefficients": {"data": [0.0] * 5},
    }
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def human36m(folder: Path) -> Path:
    write_h36m(folder, {"S5/walking_1": 8})
    return folder / "S5" / "walking_1.txt"


def cmu(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_asf_amc(folder, {"02_01": 12})
        return next(folder.rglob(f"*.{suffix}"))

    return make


def amass(folder: Path) -> Path:
    path = folder / "KIT" / "walk.npz"
    path.parent.mkdir()
    np.savez(path, joints=np.zeros((9, 24, 3), np.float32), mocap_framerate=np.array(60.0))
    return path


def read_set(kind: str, up: int) -> Callable[[Path], None]:
    """Reader of a data set of a kind, whose folder is so many above the file."""

    def read(path: Path) -> None:
        for sequence in read_dataset(path.parents[up], kind).sequences:
            sequence.positions  # noqa: B018  # as training does

    return read


def labelled(folder: Path) -> Path:
    path = folder / "labelled.npz"
    rng = np.random.default_rng(0)
    np.savez(
        path,
        positions=rng.normal(size=(40, 3, 3)),
        lengths=np.array([10, 10, 10, 10]),
        action=np.array([1, 1, 2, 2]),
        subject=np.array([1, 2, 1, 2]),
        bones=np.array([[0, 1], [1, 2]]),
        action_names=np.array(["idle", "walk"]),
        fps=np.array(25.0),
    )
    return path


def sources(folder: Path) -> Path:
    labelled(folder)
    with np.load(folder / "labelled.npz") as arrays:
        joints = {"positions": np.zeros((40, 15, 3)), "ids": np.array(["a_1", "b_2", "c_1", "d_2"])}
        label = np.array(["walk", "walk", "idle", "idle"])
        np.savez(folder / "motion.npz", **{**arrays, **joints}, label=label)
    path = folder / "sources.yaml"
    content = {
        **{"layout": "chico15", "joints": ["hip", "nose"]},
        "classes": {"walking": ["walk"], "standing": ["idle"]},
        "sources": [{"file": "motion.npz", "subject": "id:1"}],
    }
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def table_of_actions(name: str, line: str) -> Callable[[Path], Path]:
    """Maker of a table of two people who do the same, five frames each, as others write them."""

    def make(folder: Path) -> Path:
        for number in (1, 2):
            path = folder / name.format(number)
            with path.open("a", encoding="utf-8") as file:
                file.write(line.format(number))
        return path

    return make


NTU_BODY = "1\n" + "0 " * 10 + "\n25\n" + ("0.1 0.2 3.0" + " 0" * 9 + "\n") * 25
ACTIONS = {
    "NTU": ("S001C001P00{}R001A001.skeleton", "5\n" + NTU_BODY * 5, 0),
    "MSR Action3D": ("a01_s0{}_e01_skeleton3D.txt", "0.1 0.2 3.0 1\n" * 100, 0),
    "Florence": ("Florence.txt", 5 * ("{0} {0} 4 " + "500 " * 45 + "\n"), None),
}


def read_action_folder(path: Path) -> Any:
    return read_actions(path if path.name.startswith("Florence") else path.parent)


def utkinect(folder: Path) -> Path:
    for number in (1, 2):
        rows = [f"{n} " + "0.5 " * 60 for n in range(8)]
        (folder / f"joints_s0{number}_e01.txt").write_text("\n".join(rows), "utf-8")
    path = folder / "actionLabel.txt"
    path.write_text("".join(f"s0{n}_e01\nwalk: 1 5\nsit: NaN NaN\n" for n in (1, 2)), "utf-8")
    return path


def evidence(folder: Path) -> Path:
    path = folder / "evidence.json"
    path.write_bytes(share_path("docs", "evidence.json").read_bytes())
    return path


def read_evidence(path: Path) -> Any:
    from ses_gcn_ros.studies.evidence import markdown, read

    return markdown(read("from", [path])[0])


def study(folder: Path) -> Path:
    path = folder / "runs.jsonl"
    path.write_text('{"seed": 1}\n[0, {"a": 1}]\n[1, null]\n', "utf-8")
    return path


def lifting_weights(folder: Path) -> Path:
    pytest.importorskip("torch")
    path, config = folder / "l.safetensors", LiftingConfig(width=4, blocks=1)
    state = make_network(config).state_dict().items()
    tensors = {k: v.numpy() for k, v in state if not k.endswith("num_batches_tracked")}
    write_lifting_weights(path, LiftingWeights(config, tensors, "small"))
    return path


def read_lifting_recipe(path: Path) -> Any:
    pytest.importorskip("torch")
    from ses_gcn_ros.training.lifting import load_lifting_recipe

    return load_lifting_recipe(str(path))


def audit_log(folder: Path) -> Path:
    path = folder / "audit.jsonl"
    with contextlib.closing(AuditLog(str(path), SafetyConfig())) as log:
        for number in range(3):
            log.record("state", number=number)
    return path


def measurements(folder: Path) -> Path:
    path = folder / "benchmarks.json"
    path.write_bytes(share_path("docs", "benchmarks.json").read_bytes()[:])
    return path


def read_measurements(path: Path) -> Any:
    from ses_gcn_ros.studies.benchmarks import harness

    content = harness.read(path)
    return harness.markdown(content)


def cdr(kind: str, content: Callable[[], Any]) -> Callable[[Path], Path]:
    """Maker of a file with a message as it goes over DDS and into bags."""

    def make(folder: Path) -> Path:
        path = folder / "message"
        path.write_bytes(bytes(typestore().serialize_cdr(content(), kind)))
        return path

    return make


def decoded(kind: str, read: Callable[[Any], Any]) -> Callable[[Path], Any]:
    """Reader of such a file; bytes that are no message at all do not get as far as `read`."""

    def take(path: Path) -> Any:
        try:
            content = typestore().deserialize_cdr(path.read_bytes(), kind)
        except Exception:
            return None
        return read(content)

    return take


HEADER = header_message(1.0, "camera")
PNG = cv2.imencode(".png", np.full((6, 8), 900, np.uint16))[1]


def picture(encoding: str, pixels: np.ndarray) -> Any:
    """An image of 6×8 px."""
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    sizes = {"height": 6, "width": 8, "step": len(data) // 6, "is_bigendian": 0}
    return message("sensor_msgs/msg/Image", header=HEADER, encoding=encoding, data=data, **sizes)


def packed(form: str, data: np.ndarray) -> Any:
    return message("sensor_msgs/msg/CompressedImage", header=HEADER, format=form, data=data)


def camera_info() -> Any:
    sizes = dict.fromkeys(("x_offset", "y_offset", "height", "width"), 0)
    roi = message("sensor_msgs/msg/RegionOfInterest", do_rectify=False, **sizes)
    return message(
        "sensor_msgs/msg/CameraInfo",
        **{"header": HEADER, "height": 720, "width": 1280, "distortion_model": "plumb_bob"},
        **{"d": np.zeros(5), "k": np.array([900, 0, 640, 0, 900, 360, 0, 0, 1.0])},
        **{"r": np.eye(3).ravel(), "p": np.zeros(12), "binning_x": 0, "binning_y": 0, "roi": roi},
    )


def somebody() -> Any:
    seen = Skeleton("p1", "chico15", np.ones((15, 3), np.float32), np.ones(15, np.float32))
    return skeletons_message(Observation(1.0, "world", [seen]))


def a_forecast() -> Any:
    positions, radius = np.ones((3, 15, 3), np.float32), np.ones((3, 15), np.float32)
    made = Forecast("p1", "chico15", 1.0, 0.04, positions, radius, 0.95, "sesgcn")
    return forecasts_message(1.0, "world", [made])


def joints() -> Any:
    names = [joint.name for joint in Urdf.load("demo").movable]
    numbers = np.zeros(len(names))
    told = {"name": names, "position": numbers, "velocity": numbers, "effort": numbers}
    return message("sensor_msgs/msg/JointState", header=HEADER, **told)


def plan() -> Any:
    names = [joint.name for joint in Urdf.load("demo").movable]
    numbers, kind = np.zeros(len(names)), "trajectory_msgs/msg/JointTrajectoryPoint"
    told = {"positions": numbers, "velocities": numbers, "accelerations": numbers}
    points = [
        message(kind, **told, effort=numbers, time_from_start=time_message(at, "Duration"))
        for at in (0.0, 1.0)
    ]
    kind = "trajectory_msgs/msg/JointTrajectory"
    return message(kind, header=HEADER, joint_names=names, points=points)


def described() -> Any:
    return message("std_msgs/msg/String", data=Urdf.load("demo").text)


def monitored(tell: Callable[[SeparationMonitor, Any], None]) -> Callable[[Any], Assessment]:
    """Reader that tells a monitor of the demo cell, which has an answer afterwards all the same."""
    config = SafetyConfig(robot_description="demo")
    robots = read_robots(config)

    def read(content: Any) -> Assessment:
        monitor = SeparationMonitor(config, robots.model, robots.urdf)
        monitor.observe_description(robots.urdf.text)
        monitor.observe_robot(1.0, np.tile(np.eye(4), (len(monitor.model.frames), 1, 1)))
        try:
            tell(monitor, content)
        finally:
            answer = monitor.assess(1.02)
            assert answer.level is Level.STOP
            assert answer.speed_factor == 0.0
            for reason in answer.reasons:
                assert "\n" not in reason
        return answer

    return read


def told_of_people(monitor: SeparationMonitor, content: Any) -> None:
    monitor.observe_skeletons(1.0, skeletons_from_message(content), 1.01)


def told_of_joints(monitor: SeparationMonitor, content: Any) -> None:
    monitor.joints.observe(1.0, content.name, content.position, content.velocity)


def placed(path: Path) -> None:
    """Take transforms as the safety node does, from their bytes, and ask where a frame is."""
    buffer = TransformBuffer("world")
    for static in (True, False):
        buffer.add(decode_transforms(path.read_bytes()), static=static, latest=2.0)
    buffer.poses(["tool"], 1.0)


def transforms(folder: Path) -> Path:
    names = ("world", "base", "tool")
    heard = [
        StampedTransform(parent, child, 10**9, (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        for parent, child in pairwise(names)
    ]
    path = folder / "message"
    path.write_bytes(encode_transforms(heard))
    return path


MESSAGES: dict[str, tuple[str, Callable[[], Any], Callable[[Any], Any]]] = {
    "skeletons": ("ses_gcn_ros/msg/SkeletonArray", somebody, skeletons_from_message),
    "forecasts": ("ses_gcn_ros/msg/ForecastArray", a_forecast, forecasts_from_message),
    "image": (
        "sensor_msgs/msg/Image",
        lambda: picture("rgb8", np.zeros((6, 8, 3), np.uint8)),
        decode_image_message,
    ),
    "compressed image": (
        "sensor_msgs/msg/CompressedImage",
        lambda: packed("png", cv2.imencode(".png", np.zeros((6, 8, 3), np.uint8))[1].ravel()),
        decode_image_message,
    ),
    "depth": (
        "sensor_msgs/msg/Image",
        lambda: picture("16UC1", np.full((6, 8), 900, np.uint16)),
        decode_depth_message,
    ),
    "compressed depth": (
        "sensor_msgs/msg/CompressedImage",
        lambda: packed("16UC1; compressedDepth png", np.append(np.zeros(12, np.uint8), PNG)),
        decode_depth_message,
    ),
    "camera": ("sensor_msgs/msg/CameraInfo", camera_info, camera_from_info),
    "people": ("ses_gcn_ros/msg/SkeletonArray", somebody, monitored(told_of_people)),
    "joints": ("sensor_msgs/msg/JointState", joints, monitored(told_of_joints)),
    "plan": (
        "trajectory_msgs/msg/JointTrajectory",
        plan,
        monitored(lambda monitor, content: monitor.joints.observe_plan(*read_plan(content))),
    ),
    "description": (
        "std_msgs/msg/String",
        described,
        monitored(lambda monitor, content: monitor.observe_description(content.data)),
    ),
}

KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "weights of forecasts": (forecast_weights, read_weights),
    "weights of actions": (action_weights, read_action_weights),
    "state dict": (state_dict, read_official),
    "mask": (mask, read_mask),
    "recording": (recording, read_through),
    "pickle": (pickled, read_collaboration),
    "parameters": (parameters, lambda path: node_parameters(path, "safety_node", SafetyConfig)),
    "recipe": (recipe("training", "sesgcn_workcell.yaml"), read_recipe),
    "recipe for actions": (recipe("actions", "esgn_workcell.yaml"), read_action_recipe),
    "calibration": (calibration, read_calibration),
    "robot": (robot, lambda path: read_robots(SafetyConfig(robot_description=str(path)))),
    "segments": (segments, read_segments),
    "case of an attack": (attack_case, read_attack_case),
    "intrinsics": (intrinsics, read_intrinsics),
    "Human3.6M": (human36m, read_set("h36m", 1)),
    "skeleton of CMU": (cmu("asf"), read_set("asf_amc", 1)),
    "motion of CMU": (cmu("amc"), read_set("asf_amc", 1)),
    "AMASS": (amass, read_set("amass", 1)),
    "labelled motion": (labelled, read_action_npz),
    "list of sources": (sources, read_actions),
    **{name: (table_of_actions(*form[:2]), read_action_folder) for name, form in ACTIONS.items()},
    "UTKinect": (utkinect, read_action_folder),
    "evidence": (evidence, read_evidence),
    "journal of a study": (study, lambda path: _read(path, {"seed": 1})),
    "weights of lifting": (lifting_weights, lambda p: build_lifter(read_lifting_weights(p))),
    "recipe for lifting": (recipe("lifting", "semgcn_workcell.yaml"), read_lifting_recipe),
    "audit log": (audit_log, verify),
    "measurements": (measurements, read_measurements),
    "transforms": (transforms, placed),
}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_sentence(kind, tmp_path):
    make, read = KINDS[kind]
    path = make(tmp_path)
    read(path)
    survive(path, read)


@pytest.mark.parametrize("name", MESSAGES)
def test_damaged_messages_are_taken_or_refused_in_one_sentence(name, tmp_path):
    kind, content, read = MESSAGES[name]
    path = cdr(kind, content)(tmp_path)
    assert decoded(kind, read)(path) is not None
    survive(path, decoded(kind, read))
