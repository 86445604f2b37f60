"""Names that notebooks of before use; the room is `ses_gcn_ros.replay`."""
