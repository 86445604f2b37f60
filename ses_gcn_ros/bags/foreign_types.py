"""Foreign message types, for bags that don't carry their definitions (sqlite3 before Iron)."""

from __future__ import annotations

# Fields as they lie in the message; ZED_PACKAGE is zed_msgs, zed_interfaces before 2024.
_ZED = {
    "ObjectsStamped": "std_msgs/Header header\nZED_PACKAGE/Object[] objects",
    "Object": """
        string label
        int16 label_id
        string sublabel
        float32 confidence
        float32[3] position
        float32[6] position_covariance
        float32[3] velocity
        bool tracking_available
        int8 tracking_state
        int8 action_state
        ZED_PACKAGE/BoundingBox2Di bounding_box_2d
        ZED_PACKAGE/BoundingBox3D bounding_box_3d
        float32[3] dimensions_3d
        bool skeleton_available
        int8 body_format
        ZED_PACKAGE/BoundingBox2Df head_bounding_box_2d
        ZED_PACKAGE/BoundingBox3D head_bounding_box_3d
        float32[3] head_position
        ZED_PACKAGE/Skeleton2D skeleton_2d
        ZED_PACKAGE/Skeleton3D skeleton_3d""",
    "Skeleton2D": "ZED_PACKAGE/Keypoint2Df[70] keypoints",
    "Skeleton3D": "ZED_PACKAGE/Keypoint3D[70] keypoints",
    "Keypoint2Df": "float32[2] kp",
    "Keypoint2Di": "uint32[2] kp",
    "Keypoint3D": "float32[3] kp",
    "BoundingBox2Df": "ZED_PACKAGE/Keypoint2Df[4] corners",
    "BoundingBox2Di": "ZED_PACKAGE/Keypoint2Di[4] corners",
    "BoundingBox3D": "ZED_PACKAGE/Keypoint3D[8] corners",
}

DEFINITIONS: dict[str, str] = {
    f"{package}/msg/{name}": text.replace("ZED_PACKAGE", package)
    for package in ("zed_msgs", "zed_interfaces")
    for name, text in _ZED.items()
}
DEFINITIONS["hri_msgs/msg/IdsList"] = "std_msgs/Header header\nstring[] ids"
