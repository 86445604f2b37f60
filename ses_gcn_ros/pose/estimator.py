"""From an image to everybody's skeleton: landmarks, placement, identity, distance, smoothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.lifting import read_lifting_weights
from ses_gcn_ros.pose.camera import (
    Camera,
    Detections,
    PictureChange,
    SceneCutDetector,
    View,
    homogeneous,
)
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.depth import check_aligned, place_with_depth
from ses_gcn_ros.pose.landmarker import Landmarks, PoseLandmarker
from ses_gcn_ros.pose.lifting import ImageHistory, Lifter
from ses_gcn_ros.pose.placement import (
    DepthFilter,
    Placement,
    floor_of,
    nanmedian,
    place,
)
from ses_gcn_ros.pose.sources import RESTART
from ses_gcn_ros.pose.tracking import (
    BoneLengthFilter,
    Liveness,
    OneEuroFilter,
    Tracker,
    appearances,
    packed_covariance,
)
from ses_gcn_ros.skeleton import Skeleton, convert, mapping

_LIFTING_FPS = 25.0  # Hz, of the images that the lifting networks are trained on
_DEPTH_SIGMA = 0.01  # share of the distance that a depth camera is off
_PIXEL_SIGMA = 1.0  # px of a landmark, and
_JOINT_SIGMA = 0.0135  # m by which it is beside the joint's centre
_SHAPE_SIGMA = 0.042  # m of a joint's depth against the body's, once bones keep their lengths
_REST_SIGMA = 0.01  # m, of a foot that rests, as far as limbs of constant length may move it
_LEAST_PIXEL_WEIGHT = 3.0  # residuals over the median beyond which a pixel no longer draws a joint

R = TypeVar("R")


class Placed(NamedTuple):
    """Everybody in the optical frame, or one person without N; J joints of the placer's layout."""

    positions: NDArray[np.float64]  # (N, J, 3) [m]; also of a joint that counts as unseen, maybe
    confidence: NDArray[np.float64]  # (N, J): 0 where a joint is unseen
    # (N, J, 2): joints in the image, undistorted, at unit depth; NaN outside of it
    rays: NDArray[np.float64]
    # (N, J): standard deviation [m] of each joint along and across its ray, against the body
    along: NDArray[np.float64]
    across: NDArray[np.float64]
    # (N,) [m]: of each person's distance; NaN for who can't be placed
    ray_sigma: NDArray[np.float64]

    def person(self, index: int) -> Placed:
        """One of them."""
        return Placed._make(values[index] for values in self)

    def scaled(self, scale: NDArray[np.float64], sigma: float) -> Placed:
        """One person in the same picture at another distance, known to a share `sigma` of it."""
        moved = self.positions * scale[:, None]
        distance = np.nanmean(np.linalg.norm(moved, axis=-1))
        return self._replace(positions=moved, ray_sigma=np.asarray(sigma * distance))

    def covariance(self, rotation: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
        """Covariance (J, 3, 3) [m²] of one person's joints in axes turned by a rotation (3, 3).

        The rotation may be off by `tilt` [rad].
        """
        distance = np.linalg.norm(self.positions, axis=-1, keepdims=True)
        ray = self.positions / distance @ rotation.T
        across = self.across**2 + (tilt * distance[:, 0]) ** 2
        along = self.along**2 + self.ray_sigma**2 - across
        outer = ray[:, :, None] * ray[:, None, :]
        return np.asarray(across[:, None, None] * np.eye(3) + along[:, None, None] * outer)


class _Memory(NamedTuple):
    """What is kept about a person from image to image."""

    depth: DepthFilter | None
    bones: BoneLengthFilter
    smoother: OneEuroFilter
    liveness: Liveness


class Placer:
    """Landmarks in metres, placed so that they project to where they are seen.

    Other ways to give landmarks their third dimension are derived from it.
    """

    filters_depth = True  # whether distances are guesses that a `DepthFilter` has to hold

    def __init__(self, config: PoseConfig, layout: str) -> None:
        self._config, self.layout = config, layout  # of the joints that it gives

    def place(
        self, stamp: float, landmarks: Landmarks, camera: Camera, depth: NDArray[np.float32] | None
    ) -> Placed:
        """Place everybody found in the picture of a time [s]; depth (H, W) [m] is of its pixels."""
        size_known = self._config.body_height > 0.0
        rays, inside = camera.rays(landmarks.pixels)
        visible = landmarks.visibility >= self._config.min_visibility
        weights = np.where(visible & inside, landmarks.visibility, 0.0)
        placed = place(landmarks.world, rays, weights, size_known=size_known)
        confidence = np.where(visible, landmarks.visibility, 0.0)
        rays = np.where(inside[..., None], rays, np.nan)
        return _placed(placed, rays, weights > 0.0, confidence, camera)


class DepthPlacer(Placer):
    """Joints measured by a depth camera, hidden ones filled in from the body's shape."""

    filters_depth = False

    def place(
        self, stamp: float, landmarks: Landmarks, camera: Camera, depth: NDArray[np.float32] | None
    ) -> Placed:
        """Place everybody who has depth."""
        if depth is None:
            raise InputError("mode 'rgbd' got an image without depth; give the one of its time")
        check_aligned(depth, camera)
        positions, confidence, along, across = place_with_depth(
            landmarks.world,
            landmarks.pixels,
            landmarks.visibility,
            depth,
            camera,
            layout=landmarks.layout,
            min_visibility=self._config.min_visibility,
        )
        sigma = np.full(len(positions), np.nan)
        known = (confidence > 0.0).any(axis=1)
        away = np.linalg.norm(positions[known], axis=-1)
        sigma[known] = _DEPTH_SIGMA * np.nanmean(away, axis=1)
        rays, _ = camera.rays(landmarks.pixels)
        return Placed(positions, confidence, rays, along, across, sigma)


class LiftingPlacer(Placer):
    """Joints of the last images lifted by a trained network, which learned bodies from motion.

    It needs no landmarks in metres, so that any detector of joints in the image would do.
    """

    def __init__(self, config: PoseConfig, layout: str) -> None:
        super().__init__(config, "chico15")
        self._lifter = Lifter(
            read_lifting_weights(config.lifting_weights) if config.lifting_weights else None
        )
        if self._lifter.layout != self.layout:
            raise ConfigError(
                f"lifting weights '{config.lifting_weights}' are for layout "
                f"{self._lifter.layout}; mode 'lifting' takes {self.layout}"
            )
        self._history = ImageHistory(self._lifter.frames, _LIFTING_FPS)
        self._joints = mapping(layout, self.layout)

    def place(
        self, stamp: float, landmarks: Landmarks, camera: Camera, depth: NDArray[np.float32] | None
    ) -> Placed:
        """Place everybody by where the joints were in the last images."""
        rays, inside = camera.rays(landmarks.pixels)
        visible = inside & (landmarks.visibility >= self._config.min_visibility)
        visibility = np.where(visible, landmarks.visibility, 0.0)
        # A joint that is made of several is seen when all of them are.
        made_of = self._joints > 0.0
        confidence = np.where(made_of, visibility[:, None, :], 1.0).min(axis=-1)
        rays = np.where(confidence[..., None] > 0.0, self._joints @ rays, np.nan)
        past, trust = self._history.add(stamp, rays, confidence)
        joints = self._lifter.lift(past, trust)
        lifted = np.asarray(np.isfinite(joints).all(axis=(1, 2)))
        placed = place(
            np.where(lifted[:, None, None], joints, 0.0),
            rays,
            np.where(lifted[:, None], confidence, 0.0),
            size_known=self._config.body_height > 0.0,
            upright=True,
        )
        return _placed(placed, rays, confidence > 0.0, confidence, camera)


_PLACERS = {"monocular": Placer, "rgbd": DepthPlacer, "lifting": LiftingPlacer}


def _placed(
    placement: Placement,
    rays: NDArray[np.float64],
    seen: NDArray[np.bool_],
    confidence: NDArray[np.float64],
    camera: Camera,
) -> Placed:
    """People whose joints are drawn onto the rays that they are seen on.

    A joint whose pixel disagrees with the body as a whole is drawn less, by a Cauchy weight, since
    detectors put single joints astray.
    """
    positions = placement.positions
    depth = positions[..., 2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        onto = homogeneous(rays) * depth
        away = np.linalg.norm(onto - positions, axis=-1)
        usual = nanmedian(np.where(seen, away, np.nan))[:, None] + _JOINT_SIGMA
        weight = np.where(seen, 1.0 / (1.0 + (away / (_LEAST_PIXEL_WEIGHT * usual)) ** 2), 0.0)
        positions = np.where(
            weight[..., None] > 0.0, positions + weight[..., None] * (onto - positions), positions
        )
        across = np.hypot(_JOINT_SIGMA, _PIXEL_SIGMA / camera.fx * depth[..., 0])
        across = np.hypot(across, (1.0 - weight) * np.fmin(away, 0.3))
    along = np.full_like(across, _SHAPE_SIGMA)
    return Placed(positions, confidence, rays, along, across, placement.ray_sigma)


class SkeletonEstimator:
    """Skeletons from one camera's landmarks: placement, identity, distance, bones, smoothing."""

    def __init__(self, config: PoseConfig, layout: str = "mediapipe33") -> None:
        self._config = config
        self._placer = _PLACERS[config.mode](config, layout)
        self._tracker = Tracker(config, self._make_memory, self._placer.layout)
        self._camera: Camera | None = None
        self._scene = SceneCutDetector()
        self._change = PictureChange()
        self.ray_sigma = np.zeros(0)  # m, of everybody in the last image
        self.detections: Detections | None = None  # the same people in the image, by name
        self.off_floor = False  # whether somebody's feet are not on the floor of the target frame

    def _make_memory(self) -> _Memory:
        config, layout = self._config, self._placer.layout
        return _Memory(
            DepthFilter(layout, config.body_height) if self._placer.filters_depth else None,
            BoneLengthFilter(layout),
            OneEuroFilter(config.smoothing_cutoff, config.smoothing_beta),
            Liveness(),
        )

    def forget(self) -> None:
        """Let go of everybody: who comes next is new."""
        self._tracker.forget()

    def update(
        self,
        stamp: float,
        landmarks: Landmarks,
        camera: Camera,
        target_from_camera: NDArray[np.float64] | None = None,
        depth: NDArray[np.float32] | None = None,
        rgb: NDArray[np.uint8] | None = None,
    ) -> list[Skeleton]:
        """Everybody in the image of time `stamp` [s], given the landmarks found in it.

        Parameters are those of `PoseEstimator.process`; without `rgb`, appearance tells nobody
        apart.
        """
        if camera != self._camera:  # everybody would seem to jump
            self._tracker.forget()
            self._camera = camera
        config, layout = self._config, self._placer.layout
        transform = np.eye(4) if target_from_camera is None else target_from_camera
        floor = None
        if target_from_camera is not None and config.use_floor:
            floor = floor_of(
                transform, config.floor_height, config.camera_tilt_sigma, config.floor_sigma
            )
        placed = self._placer.place(stamp, landmarks, camera, depth)
        known = np.flatnonzero(np.isfinite(placed.ray_sigma))
        self.ray_sigma = placed.ray_sigma[known]
        rotation, origin = transform[:3, :3], transform[:3, 3]
        people = placed.positions[known] @ rotation.T + origin
        looks = None if rgb is None else appearances(rgb, landmarks.pixels[known])
        if rgb is not None and self._scene.update(rgb):
            self._tracker.lose(stamp)
        tracks = self._tracker.assign(stamp, people, origin, self.ray_sigma, looks)
        told = [row for row, track in enumerate(tracks) if track.person_id]
        known, tracks = known[told], [tracks[row] for row in told]
        self.ray_sigma = self.ray_sigma[told]
        self.detections = Detections(
            View(camera, transform),
            landmarks.layout,
            landmarks.pixels[known],
            landmarks.visibility[known],
            tuple(track.person_id for track in tracks),
        )
        self.off_floor = False
        moves = np.ones(len(known), bool)
        far = landmarks.far
        if far is not None and far.any() and rgb is not None:
            moves[far[known]] = self._change.update(stamp, rgb, landmarks.pixels[known[far[known]]])
        skeletons = []
        for row, (track, index) in enumerate(zip(tracks, known, strict=True)):
            one = placed.person(int(index))
            memory = track.memory
            looseness = one.along
            if memory.depth is not None:
                noise = _PIXEL_SIGMA / camera.fx
                seen = (one.confidence > 0.0) & np.isfinite(one.rays).all(-1)
                fit = float(one.ray_sigma / np.nanmean(np.linalg.norm(one.positions, axis=-1)))
                scale = memory.depth.update(stamp, one.positions, one.rays, seen, floor, noise, fit)
                one = one.scaled(scale, memory.depth.sigma)
                self.off_floor |= not memory.depth.on_floor
                looseness = np.where(memory.depth.resting, _REST_SIGMA, looseness)
                self.ray_sigma[row] = one.ray_sigma
            seen_joints = np.where(one.confidence[:, None] > 0.0, one.positions, np.nan)
            held = memory.bones.fit(seen_joints, looseness)
            smooth = memory.smoother.smooth(stamp, held @ rotation.T + origin)
            tilt = 0.0 if target_from_camera is None else config.camera_tilt_sigma
            covariance = one.covariance(rotation, tilt) + memory.smoother.covariance()
            wanted, trust = convert(smooth, one.confidence, layout, config.layout)
            skeletons.append(
                Skeleton(
                    track.person_id,
                    config.layout,
                    wanted,
                    trust,
                    packed_covariance(covariance, wanted, layout, config.layout),
                    memory.liveness.update(stamp, seen_joints, moves[row]),
                )
            )
        return skeletons


class PoseEstimator(SkeletonEstimator):
    """Skeletons in metres from the images of one camera. Close it when done.

    What comes after the landmarks of an image is done in a thread of its own, while the landmarks
    of the next are found. Raises ModelError if the model can't be had.
    """

    def __init__(self, config: PoseConfig) -> None:
        self._landmarker = PoseLandmarker(config)
        self._updating = ThreadPoolExecutor(1, "skeletons")  # in the order of the images
        super().__init__(config)
        self._stamp: float | None = None
        self._job: Future[Any] | None = None  # of the last image

    def process(
        self,
        stamp: float,
        rgb: NDArray[np.uint8],
        camera: Camera,
        target_from_camera: NDArray[np.float64] | None = None,
        depth: NDArray[np.float32] | None = None,
    ) -> list[Skeleton]:
        """Everybody in one more image.

        Raises InputError if the image is of another size than the camera's, its stamp is not after
        the last, or depth is missing or of another size.

        `stamp`: when the image was taken [s], after the one before. A stamp more than a second back
        starts over: everybody is new.
        `target_from_camera` (4, 4): camera's optical frame in the frame of the skeletons; by
        default that frame itself. Its z axis is up, and the floor lies at the configured
        ``floor_height``.
        `depth` (H, W): depth registered to the image [m], NaN where there is no data; for mode
        "rgbd".
        """
        return self.begin(list, stamp, rgb, camera, target_from_camera, depth).result()

    def begin(
        self,
        answer: Callable[[list[Skeleton]], R],
        stamp: float,
        rgb: NDArray[np.uint8],
        camera: Camera,
        target_from_camera: NDArray[np.float64] | None = None,
        depth: NDArray[np.float32] | None = None,
    ) -> Future[R]:
        """What `answer` makes of everybody in one more image; it comes while others are begun.

        Returns once the landmarks are found. `answer` is called in the order of the images, in
        another thread, one at a time. Parameters and errors are those of `process`.
        """
        height, width = rgb.shape[:2]
        if (width, height) != (camera.width, camera.height):
            raise InputError(
                f"image is {width}×{height} px, but camera_info says "
                f"{camera.width}×{camera.height}; calibrate at the size that is sent"
            )
        found = self._landmarker.detect(self._elapsed(stamp), rgb)
        self._wait()
        self._job = self._updating.submit(
            lambda: answer(self.update(stamp, found, camera, target_from_camera, depth, rgb))
        )
        return self._job

    def _wait(self) -> None:
        if self._job:
            wait([self._job])

    @property
    def delegate(self) -> str:
        """What the landmarker runs on, "cpu" or "gpu"."""
        return self._landmarker.delegate

    def restart(self) -> None:
        """Start over with the next image, whatever its stamp: everybody is new."""
        self._wait()
        self.forget()
        self._landmarker.lose()
        self._stamp = None

    def close(self) -> None:
        """Release the model and end its threads, after the images begun."""
        self._updating.shutdown()
        self._landmarker.close()

    def _elapsed(self, stamp: float) -> float:
        """Time since the last image [s], 0 if everything begins or starts over."""
        last = self._stamp
        if last is not None and last - RESTART < stamp <= last:
            raise InputError(
                f"image stamp {stamp:.6f} s is not after the last one, {last:.6f} s; image ignored"
            )
        if last is not None and stamp <= last:
            self.restart()
            last = None
        self._stamp = stamp
        return 0.0 if last is None else stamp - last
