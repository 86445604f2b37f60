"""landmarks of several cameras → skeletons, triangulated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray

from ses_gcn_ros import msg
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import skeletons_to_msg, to_seconds, to_time
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.nodes.pose_messages import TransformLookup, camera_from_msg, detections_from_msg
from ses_gcn_ros.pose.calibration import read_calibration
from ses_gcn_ros.pose.config import FusionConfig
from ses_gcn_ros.pose.multiview import MultiviewFusion, Synchroniser

_TICK = 0.01  # s between looks at what is ready
_SILENCE = 1.0  # s without skeletons after which it is diagnosed
_APART = 0.025  # s between clocks that are named


class FusionNode(ManagedNode):
    """Subscribe to the `landmarks` of every camera and publish `skeletons`."""

    config_type = FusionConfig
    config: FusionConfig

    def configure(self) -> None:
        """Check the cameras."""
        if len(self.config.cameras) < 2:
            raise ConfigError(
                f"parameter 'cameras' names {len(self.config.cameras)} of the pose nodes' "
                "namespaces; triangulation takes two at least"
            )
        self.places: Mapping[str, NDArray[np.float64]] | None = None
        if self.config.calibration:
            frame, self.places = read_calibration(Path(self.config.calibration))
            if frame != self.config.target_frame:
                raise ConfigError(
                    f"calibration '{self.config.calibration}' is for frame '{frame}', but "
                    f"'target_frame' is '{self.config.target_frame}'"
                )
        self.people = 0
        self.used: set[int] = set()

    def activate(self) -> None:
        """Subscribe and publish."""
        self.synchroniser = Synchroniser(self.config)
        self.fusion = MultiviewFusion(self.config)
        self.published = time.monotonic()
        self.skeletons = self.publisher(msg.SkeletonArray, "skeletons", qos.STREAM)
        self.transforms = TransformLookup(self, self.config.target_frame, self.config.tf_timeout)
        for number, name in enumerate(self.config.cameras):
            handler: Callable[[Any], None] = partial(self.on_landmarks, number)
            self.subscription(msg.LandmarksArray, f"{name}/landmarks", handler, qos.STREAM)
        self.every(_TICK, self.on_tick)

    def on_landmarks(self, number: int, message: msg.LandmarksArray) -> None:
        """Take in the picture of one camera."""
        stamp = message.header.stamp
        transform = self._transform(message.header.frame_id, stamp)
        detections = detections_from_msg(message, camera_from_msg(message), transform)
        self.synchroniser.add(number, to_seconds(stamp), detections, time.monotonic())
        if self.synchroniser.restarted:
            self.synchroniser.restarted = False
            self.fusion.forget()

    def on_tick(self) -> None:
        """Fuse what is ready."""
        for instant in self.synchroniser.take(time.monotonic()):
            self.attempt(self.fuse, instant)

    def fuse(self, instant: tuple[float, Mapping[int, Any]]) -> None:
        """Publish everybody at one instant; nothing where fewer than two cameras saw it."""
        stamp, detections = instant
        self.used = set(detections)
        if len(detections) < 2:
            raise InputError(
                f"{len(detections)} of {len(self.config.cameras)} cameras have a picture of the "
                "moment; two are needed, so nothing is published"
            )
        people = self.fusion.fuse(stamp, detections)
        self.people, self.published = len(people), time.monotonic()
        self.skeletons.publish(skeletons_to_msg(to_time(stamp), self.config.target_frame, people))

    def _transform(self, frame_id: str, stamp: Time) -> NDArray[np.float64]:
        if self.places is not None:
            if frame_id not in self.places:
                raise InputError(
                    f"calibration '{self.config.calibration}' has no camera '{frame_id}'; it has "
                    f"{', '.join(self.places)}"
                )
            return self.places[frame_id]
        hint = "publish the one that `ses-gcn calibrate` writes"
        return self.transforms.matrix(frame_id, stamp, hint)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """People, cameras whose landmarks come, and how well they agree."""
        names, apart = self.config.cameras, list[str]()
        alive = self.synchroniser.alive(time.monotonic())
        values: dict[str, object] = {"people": self.people, "cameras": len(alive)}
        for number, name in enumerate(names):
            state = "used" if number in self.used else "not in step"
            values[f"camera {name}"] = state if number in alive else "silent"
            if number in self.fusion.clocks.seconds:
                ahead = self.fusion.clocks.seconds[number]
                values[f"clock_ms {name}"] = f"{1e3 * ahead:+.0f}"
                if abs(ahead) > _APART:
                    apart.append(f"{name}'s clock is {1e3 * ahead:+.0f} ms off {names[0]}'s")
            if number in self.fusion.reprojection:
                values[f"reprojection_px {name}"] = f"{self.fusion.reprojection[number]:.1f}"
        lost = [name for number, name in enumerate(names) if number not in alive]
        silent = time.monotonic() - self.published
        if silent > _SILENCE:
            return DiagnosticStatus.ERROR, f"no skeletons for {silent:.1f} s", values
        if lost:
            return DiagnosticStatus.WARN, f"no landmarks from {', '.join(lost)}", values
        if apart:
            text = f"{'; '.join(apart)}: synchronise the cameras' hosts (PTP, chrony)"
            return DiagnosticStatus.WARN, text, values
        if self.statistics.problems:
            text = f"some landmarks could not be used: {self.statistics.last}"
            return DiagnosticStatus.WARN, text, values
        return DiagnosticStatus.OK, "watching", values
