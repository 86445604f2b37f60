"""What a camera saw of each person in its last images."""

from __future__ import annotations

import numpy as np

from ses_gcn_ros.pose.lifting import ImageHistory

BODY = np.random.default_rng(0).uniform(-0.1, 0.1, (15, 2))
SURE = np.ones((1, 15))


def at(x: float) -> np.ndarray:
    return BODY + np.array([x, 0.0])


def test_a_newcomer_has_a_past_of_the_first_image() -> None:
    history = ImageHistory(4, 25.0)
    rays, confidence = history.add(0.0, at(0.0)[None], SURE)
    assert rays.shape == (1, 4, 15, 2)
    np.testing.assert_array_equal(rays[0], np.broadcast_to(at(0.0), (4, 15, 2)))
    assert (confidence == 1.0).all()


def test_images_come_in_the_order_of_their_times() -> None:
    history = ImageHistory(3, 25.0)
    for frame in range(5):
        rays, _ = history.add(0.04 * frame, at(0.01 * frame)[None], SURE)
    np.testing.assert_allclose(rays[0, :, 0, 0] - BODY[0, 0], [0.02, 0.03, 0.04])


def test_a_slower_camera_fills_the_grid_with_the_nearest_images() -> None:
    history = ImageHistory(5, 25.0)
    for frame in range(4):
        rays, _ = history.add(frame / 10.0, at(0.01 * frame)[None], SURE)
    assert np.round(100 * (rays[0, :, 0, 0] - BODY[0, 0])).tolist() == [2, 2, 2, 3, 3]


def test_two_people_keep_their_own_pasts_when_the_detector_swaps_their_order() -> None:
    history = ImageHistory(2, 25.0)
    sure = np.ones((2, 15))
    history.add(0.0, np.stack([at(-0.5), at(0.5)]), sure)
    rays, _ = history.add(0.04, np.stack([at(0.51), at(-0.49)]), sure)
    np.testing.assert_allclose(rays[0, :, 0, 0] - BODY[0, 0], [0.5, 0.51])
    np.testing.assert_allclose(rays[1, :, 0, 0] - BODY[0, 0], [-0.5, -0.49])


def test_somebody_elsewhere_in_the_next_image_is_somebody_new() -> None:
    history = ImageHistory(2, 25.0)
    history.add(0.0, at(-0.5)[None], SURE)
    rays, _ = history.add(0.04, at(0.5)[None], SURE)
    np.testing.assert_allclose(rays[0, :, 0, 0] - BODY[0, 0], [0.5, 0.5])


def test_a_stamp_that_goes_back_starts_over() -> None:
    history = ImageHistory(2, 25.0)
    history.add(5.0, at(0.0)[None], SURE)
    rays, _ = history.add(1.0, at(0.01)[None], SURE)
    np.testing.assert_allclose(rays[0, :, 0, 0] - BODY[0, 0], [0.01, 0.01])


def test_nobody_in_an_image_is_no_mistake() -> None:
    history = ImageHistory(2, 25.0)
    history.add(0.0, at(0.0)[None], SURE)
    rays, confidence = history.add(0.04, np.zeros((0, 15, 2)), np.zeros((0, 15)))
    assert rays.shape == (0, 2, 15, 2)
    assert confidence.shape == (0, 2, 15)
