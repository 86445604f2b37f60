"""Landmarks of a picture to messages and back."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.msg import LandmarksArray, PersonLandmarks
from ses_gcn_ros.nodes.conversions import flat
from ses_gcn_ros.pose.camera import Camera, Detections, View, camera_from_calibration
from ses_gcn_ros.skeleton import get_layout


def landmarks_to_msg(stamp: Time, frame_id: str, detections: Detections) -> LandmarksArray:
    """Message of everybody in the picture taken at `stamp` by the camera of `frame_id`."""
    camera = detections.view.camera
    message = LandmarksArray(
        width=camera.width,
        height=camera.height,
        intrinsics=[camera.fx, camera.fy, camera.cx, camera.cy],
        distortion_model=camera.model,
        distortion=list(camera.distortion),
        calibrated=not camera.assumed,
    )
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.people = [
        PersonLandmarks(
            person_id=name,
            layout=detections.layout,
            points=flat(points),
            confidence=flat(confidence),
        )
        for name, points, confidence in zip(
            detections.names, detections.pixels, detections.confidence, strict=True
        )
    ]
    return message


def camera_from_msg(message: LandmarksArray) -> Camera:
    """Camera that a message of landmarks comes from.

    Raises
    ------
    InputError
        If it is not calibrated or the calibration is unusable.
    """
    frame = message.header.frame_id
    if not message.calibrated:
        raise InputError(
            f"camera '{frame}' is not calibrated, its angle of view is a guess; publish its "
            "camera_info, or people can't be triangulated"
        )
    fx, fy, cx, cy = message.intrinsics
    matrix = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
    return camera_from_calibration(
        message.width, message.height, matrix, message.distortion, message.distortion_model
    )


def detections_from_msg(
    message: LandmarksArray, camera: Camera, base_from_camera: NDArray[np.float64]
) -> Detections:
    """Everybody in a message, seen by a camera at a place.

    Raises
    ------
    InputError
        For mixed or unknown layouts, arrays of the wrong length, an infinite point, a confidence
        outside of 0 to 1 or two people of the same name.
    """
    view = View(camera, base_from_camera)
    layouts = sorted({entry.layout for entry in message.people}) or ["mediapipe33"]
    if len(layouts) > 1:
        raise InputError(f"one message has landmarks of layouts {', '.join(layouts)}; use one")
    joints = len(get_layout(layouts[0]).joints)
    for entry in message.people:
        if len(entry.points) != 2 * joints or len(entry.confidence) != joints:
            raise InputError(
                f"landmarks of '{entry.person_id}': {len(entry.points)} values and "
                f"{len(entry.confidence)} confidences; layout '{entry.layout}' takes "
                f"{2 * joints} and {joints}"
            )
    names = tuple(entry.person_id for entry in message.people)
    if len(set(names)) != len(names):
        raise InputError(f"a person_id appears twice in one message: {', '.join(names)}")
    pixels = np.array([entry.points for entry in message.people], np.float64)
    confidence = np.array([entry.confidence for entry in message.people], np.float64)
    if np.isinf(pixels).any() or not ((confidence >= 0.0) & (confidence <= 1.0)).all():
        raise InputError(
            f"landmarks from '{message.header.frame_id}' have an infinite point or a confidence "
            "outside of 0 to 1; an unseen joint is NaN with confidence 0"
        )
    return Detections(
        view, layouts[0], pixels.reshape(-1, joints, 2), confidence.reshape(-1, joints), names
    )
