"""``open_replay``, where notebooks of before look for it."""

from ses_gcn_ros.replay.recording import open_replay

__all__ = ["open_replay"]
