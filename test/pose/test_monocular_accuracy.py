"""One camera held against recorded people, with errors as MediaPipe makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.studies.pose_accuracy import measure_monocular


@pytest.mark.parametrize(("posed", "mean", "most"), [(True, 0.06, 0.12), (False, 0.09, 0.20)])
def test_distances_and_their_stated_uncertainty(shared_data: Path, posed, mean, most):
    motion = read_recording(shared_data / "motion" / "idle_dev.npz")
    found = measure_monocular(motion, scenes=6, posed=posed, seed=2).as_dict()
    assert found["root_depth_mean_share"] <= mean
    assert found["root_depth_p95_share"] <= most
    assert found["relative_mean_mm"] <= 70.0
    assert found["covered_along_share"] >= 0.9
    assert found["covered_across_share"] >= 0.9
    assert np.isfinite(found["found_share"])


def test_people_without_legs_are_refused(shared_data: Path):
    motion = read_recording(shared_data / "motion" / "assembly_dev.npz")
    with pytest.raises(InputError, match=r"lacks hip, r_hip, r_knee in some frames; virtual"):
        measure_monocular(motion, scenes=1)
