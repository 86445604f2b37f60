"""Everything that can be set about the fusion of several cameras."""

from __future__ import annotations

from dataclasses import dataclass

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ConfigError


@dataclass(frozen=True)
class FusionConfig:
    """Parameters of the fusion node, with their units and limits."""

    autostart: bool = option(True, "configure and activate on start")
    cameras: tuple[str, ...] = option(
        (), "namespaces of the pose nodes; each one's topic 'landmarks' is heard"
    )
    target_frame: str = option("world", "frame of the skeletons; every camera's must lead to it")
    calibration: str = option(
        "", "file of `ses-gcn calibrate` that says where the cameras are; empty: TF says it"
    )
    tf_timeout: float = option(
        0.1, "longest wait for a camera's transform [s]", minimum=0.0, maximum=2.0
    )
    layout: str = option("chico15", "joints published", choices=("chico15", "mediapipe33"))

    max_wait: float = option(
        0.08, "how long a late camera is waited for [s]", minimum=0.0, maximum=1.0
    )
    max_gap: float = option(
        0.15, "longest gap between two frames of a camera to interpolate over [s]", minimum=0.0
    )
    camera_timeout: float = option(
        0.5, "silence after which a camera counts as lost [s]", minimum=0.05
    )
    min_confidence: float = option(
        0.3, "joints that a camera is less sure of are left out", minimum=0.0, maximum=1.0
    )
    pixel_sigma: float = option(
        4.0, "standard deviation of a landmark [px]", minimum=0.1, maximum=100.0
    )
    epipolar_gate: float = option(
        12.0,
        "median distance from the epipolar lines up to which two cameras see the same person [px]",
        minimum=0.1,
    )
    track_gate: float = option(
        0.3, "distance from where a person is expected that is still that person [m]", minimum=0.05
    )
    track_memory: float = option(
        1.0, "how long a person out of sight keeps the id [s]", minimum=0.0, maximum=10.0
    )
    max_sigma: float = option(
        0.15, "joints less certain than this are unseen [m]", minimum=0.01, maximum=1.0
    )
    smoothing_cutoff: float = option(
        4.0, "One-Euro cut-off frequency of a joint at rest [Hz]; 0: no smoothing", minimum=0.0
    )
    smoothing_beta: float = option(
        6.0, "One-Euro rise of the cut-off with speed [Hz per m/s]", minimum=0.0
    )

    def __post_init__(self) -> None:
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"parameter 'cameras' names one twice: {', '.join(self.cameras)}")
