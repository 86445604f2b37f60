"""Bodies of the CMU Graphics Lab Motion Capture Database in this project's joints and units.

The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with
funding from NSF EIA-0196217.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

UNIT = 0.0254 / 0.45  # m; the skeletons are in inches times 0.45
RECORDED_FPS = 120.0
ABOUT = {
    "licence": "CMU Graphics Lab Motion Capture Database: free for use in research and commercial "
    "projects worldwide",
    "acknowledgement": "The data used in this project was obtained from mocap.cs.cmu.edu. The "
    "database was created with funding from NSF EIA-0196217.",
}
_NOSE = 0.10  # m before the head bone's end, which lies on the crown; the data have no nose
_BONES = (
    *("rhipjoint", "rfemur", "rtibia", "lhipjoint", "lfemur", "ltibia"),
    *("rclavicle", "rhumerus", "rwrist", "lclavicle", "lhumerus", "lwrist"),
)


def chico15(
    ends: Mapping[str, NDArray[np.float64]], facing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Layout chico15, z up, from where bones end, y up.

    Parameters
    ----------
    ends : dict of str to NDArray, shape (T, 3)
        End of each bone by its name in the database [m].
    facing : NDArray, shape (T, 3)
        Where the face points, of length 1.

    Returns
    -------
    NDArray, shape (T, 15, 3) [m]
        Hip and c_shoulder are midpoints; a foot is the ankle; the nose is made.
    """
    legs, arms = (np.stack([ends[bone] for bone in part], 1) for part in (_BONES[:6], _BONES[6:]))
    hip, shoulders = (part[:, [0, 3]].mean(axis=1, keepdims=True) for part in (legs, arms))
    nose = (ends["head"] + _NOSE * facing)[:, None]
    joints = np.concatenate([hip, legs, nose, shoulders, arms], axis=1)
    return np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)
