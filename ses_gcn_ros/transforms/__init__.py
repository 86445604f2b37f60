"""The tree of frames over time: received in serialised messages, answered as tf2 does."""

from ses_gcn_ros.transforms.buffer import (
    StampedTransform,
    TransformBuffer,
    decode_transforms,
    encode_transforms,
)

__all__ = ["StampedTransform", "TransformBuffer", "decode_transforms", "encode_transforms"]
