"""Files of a calibration: intrinsics in, transforms and a launch file out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.pose.camera import BODY_FROM_OPTICAL, Camera, camera_from_calibration

Array = NDArray[np.float64]

_LAUNCH = '''"""Where the cameras are, as `ses-gcn calibrate` found it."""

from launch import LaunchDescription
from launch_ros.actions import Node

TRANSFORMS = {transforms}


def generate_launch_description() -> LaunchDescription:
    """One static transform per camera."""
    return LaunchDescription(
        Node(
            package="tf2_ros",
            executable="static_transform_publisher",
            arguments=[word for pair in transform.items() for word in pair],
        )
        for transform in TRANSFORMS
    )
'''


@dataclass(frozen=True, eq=False)
class CameraPlace:
    """Where a camera is.

    Attributes
    ----------
    name : str
        The camera's name, its pose node's namespace.
    frame : str
        Its optical frame.
    base_from_camera : NDArray, shape (4, 4)
        That frame in the frame of the cell.
    error : float
        How far off the projections are [px].
    """

    name: str
    frame: str
    base_from_camera: Array
    error: float


def read_intrinsics(path: Path) -> Camera:
    """Camera of a file that ROS's camera_calibration writes.

    Raises
    ------
    InputError
        If the file is missing or no such calibration.
    """
    content = _read_yaml(path)
    try:
        return camera_from_calibration(
            int(content["image_width"]),
            int(content["image_height"]),
            content["camera_matrix"]["data"],
            [float(value) for value in content["distortion_coefficients"]["data"]],
            str(content["distortion_model"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"'{path}' is no camera calibration ({error!r}); ROS's camera_calibration writes one"
        ) from error


def write_calibration(path: Path, base: str, places: Sequence[CameraPlace], method: str) -> None:
    """Write where cameras are; the file appears whole or not at all."""
    cameras = []
    for place in places:
        turn, shift = place.base_from_camera[:3, :3], place.base_from_camera[:3, 3]
        body = Rotation.from_matrix(turn @ BODY_FROM_OPTICAL.T).as_euler("xyz")
        cameras.append(
            {
                "name": place.name,
                "optical_frame": place.frame,
                "translation": _rounded(shift),
                "rotation_xyzw": _rounded(Rotation.from_matrix(turn).as_quat()),
                "camera_pose": _rounded((*shift, *body)),  # as pose_node's parameter
                "reprojection_error_px": round(float(place.error), 3),
            }
        )
    content = {"frame": base, "method": method, "cameras": cameras}
    _write(path, yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def write_launch_file(path: Path, base: str, places: Sequence[CameraPlace]) -> None:
    """Write a launch file that publishes where cameras are as static transforms."""
    entries = []
    for place in places:
        shift = _rounded(place.base_from_camera[:3, 3])
        turn = _rounded(Rotation.from_matrix(place.base_from_camera[:3, :3]).as_quat())
        keys = ("--x", "--y", "--z", "--qx", "--qy", "--qz", "--qw")
        entry = {key: str(value) for key, value in zip(keys, shift + turn, strict=True)}
        entries.append(entry | {"--frame-id": base, "--child-frame-id": place.frame})
    lines = ["["] + [f"    {entry!r}," for entry in entries] + ["]"]
    _write(path, _LAUNCH.format(transforms="\n".join(lines)))


def read_calibration(path: Path) -> tuple[str, Mapping[str, Array]]:
    """The cell's frame, and each optical frame (4, 4) in it, of a file of `write_calibration`.

    Raises
    ------
    ConfigError
        If the file is missing or no such calibration.
    """
    try:
        content = _read_yaml(path)
        transforms = {}
        for entry in content["cameras"]:
            transform = np.eye(4)
            transform[:3, :3] = Rotation.from_quat(entry["rotation_xyzw"]).as_matrix()
            transform[:3, 3] = entry["translation"]
            transforms[str(entry["optical_frame"])] = transform
        return str(content["frame"]), transforms
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"'{path}' says not where cameras are ({error}); `ses-gcn calibrate` writes such a file"
        ) from error


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"'{path}' can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is no YAML file") from error


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.incomplete")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
