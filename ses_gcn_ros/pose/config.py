"""Everything that can be set about pose estimation and about the fusion of several cameras."""

from __future__ import annotations

from dataclasses import dataclass

from ses_gcn_ros.config import FAR, TURN, option
from ses_gcn_ros.errors import ConfigError


@dataclass(frozen=True)
class PoseConfig:
    """Parameters of the pose node, with their units and limits."""

    autostart: bool = option(True, "configure and activate on start")
    source: str = option(
        "image", "where images come from", choices=("image", "compressed", "video", "webcam")
    )
    video: str = option("", "path of the video file that source 'video' plays")
    webcam: int = option(
        0, "index of the device that source 'webcam' reads", minimum=0, maximum=255
    )
    realtime: bool = option(
        True, "play a video at its own pace, dropping frames when late; false: every frame"
    )
    subscribers: int = option(
        0, "listeners that skeletons must have before a video begins", minimum=0, maximum=1000
    )
    loop: bool = option(False, "begin the video again when it has ended")
    exit_at_end: bool = option(False, "end the process when the video has ended")
    reliability: str = option(
        "auto",
        "reliability asked of the images' publisher; auto: as it offers",
        choices=("auto", "best_effort", "reliable"),
    )

    mode: str = option(
        "monocular",
        "where the third dimension comes from: the landmarker's own estimate, a depth image, or "
        "a network that lifts the joints of the last images",
        choices=("monocular", "rgbd", "lifting"),
    )
    lifting_weights: str = option(
        "", "weights file for mode 'lifting'; empty: the SemGCN that ships"
    )
    depth_tolerance: float = option(
        0.02, "greatest difference in time of colour and depth [s]", minimum=0.0, maximum=0.5
    )
    delegate: str = option(
        "auto",
        "what runs the landmarker; auto: the GPU if there is one that it can use",
        choices=("auto", "cpu", "gpu"),
    )
    model: str = option("lite", "pose landmarker: lite, full, heavy, or the path of a .task file")
    hands: str = option(
        "",
        "hand landmarker for hands whose body is not in the picture: hand, or the path of a .task "
        "file; empty: none",
    )
    max_people: int = option(4, "people looked for at once", minimum=1, maximum=10)
    identical_pictures: int = option(
        3,
        "identical pictures in a row before a camera counts as frozen and nothing is published; "
        "0: never",
        minimum=0,
        maximum=1000,
    )
    search_period: float = option(
        0.1,
        "time between searches for people not yet followed [s]; 0: in every image",
        minimum=0.0,
        maximum=2.0,
    )
    # Measured on three people 100 px high: MediaPipe's own 0.5/0.5/0.5 finds two of them at once in
    # 4 % of the frames, these in 95 %; with one person none is invented.
    detection_confidence: float = option(
        0.3, "least score of a person newly detected", minimum=0.0, maximum=1.0
    )
    presence_confidence: float = option(
        0.5, "least score of landmarks to count as a person", minimum=0.0, maximum=1.0
    )
    tracking_confidence: float = option(
        0.7, "landmark score below which a person is detected anew", minimum=0.0, maximum=1.0
    )
    min_visibility: float = option(
        0.5, "joints less visible than this are unseen (NaN)", minimum=0.0, maximum=1.0
    )

    field_of_view: float = option(
        60.0,
        "horizontal angle of view [deg] assumed while no camera_info comes; "
        "0: publish nothing without camera_info",
        minimum=0.0,
        maximum=170.0,
    )
    body_height: float = option(
        0.0, "height of the people [m], where known; 0: as estimated", minimum=0.0, maximum=2.5
    )
    target_frame: str = option("", "frame of the skeletons; empty: the camera's optical frame")
    use_floor: bool = option(
        True, "place people by their feet on the floor, in a target_frame with z up"
    )
    floor_height: float = option(
        0.0, "height of the floor in target_frame [m]", minimum=-FAR, maximum=FAR
    )
    floor_sigma: float = option(
        0.0,
        "standard deviation of floor_height, of steps and ramps that people stand on [m]",
        minimum=0.0,
        maximum=1.0,
    )
    camera_frame: str = option("camera_optical_frame", "optical frame of a video or webcam")
    camera_pose: tuple[float, ...] = option(
        (),
        "x, y, z [m], roll, pitch, yaw [rad] of the camera in target_frame; angles 0 0 0: "
        "looking along its x axis with z up; empty: from TF",
        minimum=-FAR,
        maximum=FAR,
    )
    camera_tilt_sigma: float = option(
        0.005,
        "standard deviation of the camera's pose about each axis [rad]; 0.02 if measured by hand",
        minimum=0.0,
        maximum=0.2,
    )
    tf_timeout: float = option(
        0.1, "longest wait for the transform at an image's stamp [s]", minimum=0.0, maximum=2.0
    )

    layout: str = option("chico15", "joints published", choices=("chico15", "mediapipe33"))
    frames: str = option(
        "none",
        "frames on /tf: body_ID of everybody, and JOINT_ID of every joint seen",
        choices=("none", "bodies", "joints"),
    )
    ros4hri: bool = option(
        False, "publish humans/bodies/… and body frames as REP-155 has them; needs hri_msgs"
    )
    track_gate: float = option(
        0.5,
        "distance from where a person is expected that is still that person [m]",
        minimum=0.05,
        maximum=10.0,
    )
    track_memory: float = option(
        1.0, "how long a person out of sight keeps the id [s]", minimum=0.0, maximum=10.0
    )
    smoothing_cutoff: float = option(
        2.0,
        "One-Euro cut-off frequency of a joint at rest [Hz]; 0: no smoothing",
        minimum=0.0,
        maximum=1000.0,
    )
    smoothing_beta: float = option(
        5.0, "One-Euro rise of the cut-off with speed [Hz per m/s]", minimum=0.0, maximum=1000.0
    )

    def __post_init__(self) -> None:
        if self.source == "video" and not self.video:
            raise ConfigError("source is 'video', but parameter 'video' names no file")
        if self.source in ("video", "webcam") and not self.field_of_view:
            raise ConfigError(
                f"source '{self.source}' has no camera_info; set 'field_of_view' to the camera's "
                "horizontal angle of view in degrees"
            )
        if self.mode == "rgbd" and self.source in ("video", "webcam"):
            raise ConfigError(
                f"mode 'rgbd' needs depth images, which source '{self.source}' has not; take "
                "'image' or 'compressed'"
            )
        if len(self.camera_pose) not in (0, 6):
            raise ConfigError(
                f"parameter 'camera_pose' has {len(self.camera_pose)} values; it takes six "
                "(x, y, z, roll, pitch, yaw) or none"
            )
        if any(abs(angle) > TURN for angle in self.camera_pose[3:]):
            raise ConfigError(
                f"parameter 'camera_pose' turns by {list(self.camera_pose[3:])}; its angles are in "
                "radians"
            )
        if self.camera_pose and not self.target_frame:
            raise ConfigError(
                "'camera_pose' is given, but 'target_frame' does not say in which frame"
            )


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
        0.15,
        "longest gap between two frames of a camera to interpolate over [s]",
        minimum=0.0,
        maximum=5.0,
    )
    camera_timeout: float = option(
        0.5, "silence after which a camera counts as lost [s]", minimum=0.05, maximum=60.0
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
        maximum=1000.0,
    )
    track_gate: float = option(
        0.3,
        "distance from where a person is expected that is still that person [m]",
        minimum=0.05,
        maximum=10.0,
    )
    track_memory: float = option(
        1.0, "how long a person out of sight keeps the id [s]", minimum=0.0, maximum=10.0
    )
    max_sigma: float = option(
        0.15, "joints less certain than this are unseen [m]", minimum=0.01, maximum=1.0
    )
    smoothing_cutoff: float = option(
        4.0,
        "One-Euro cut-off frequency of a joint at rest [Hz]; 0: no smoothing",
        minimum=0.0,
        maximum=1000.0,
    )
    smoothing_beta: float = option(
        6.0, "One-Euro rise of the cut-off with speed [Hz per m/s]", minimum=0.0, maximum=1000.0
    )

    def __post_init__(self) -> None:
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"parameter 'cameras' names one twice: {', '.join(self.cameras)}")
