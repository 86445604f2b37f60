"""Show images to a pose node, one when the one before is answered, and note how long it takes.

``python -m ses_gcn_ros.studies.nodes.image_probe VIDEO WIDTH HEIGHT FRAMES ARGUMENTS…`` starts
the pose node with these arguments and prints one line of JSON: seconds from each image's
publication to its skeletons, and how many people were in them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.nodes.conversions import to_time
from ses_gcn_ros.studies.benchmarks.pose import PERIOD, WARM_UP, pictures
from ses_gcn_ros.studies.nodes.probe import key

PATIENCE = 60.0  # s for the node to start, and for an answer


def main(video: str, width: int, height: int, frames: int, arguments: list[str]) -> None:
    """Measure and print."""
    process.prepare()
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("image_probe")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    images = node.create_publisher(Image, "image", qos.STREAM)
    seen: dict[int, int] = {}  # people by the nanosecond of the image they are in

    def on_skeletons(message: SkeletonArray) -> None:
        seen[key(message.header.stamp)] = len(message.skeletons)

    node.create_subscription(SkeletonArray, "skeletons", on_skeletons, qos.STREAM)
    child = subprocess.Popen([sys.executable, "-m", "ses_gcn_ros.nodes", "pose_node", *arguments])

    def wait_for(condition: Callable[[], Any]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            if child.poll() is not None or time.monotonic() > until:
                child.terminate()
                process.leave(1)
            executor.spin_once(0.01)

    wait_for(images.get_subscription_count)
    shown = pictures(video, (width, height))
    delays, people = [], 0
    for number in range(WARM_UP + frames):
        message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
        message.header.stamp = to_time(1.0 + PERIOD * number)
        message.data = array("B", next(shown).tobytes())
        stamp = key(message.header.stamp)
        started = time.perf_counter()
        images.publish(message)
        wait_for(partial(seen.__contains__, stamp))
        if number >= WARM_UP:
            delays.append(time.perf_counter() - started)
            people += seen[stamp]
    child.terminate()
    child.wait()
    print(json.dumps({"delays": delays, "people": people}))
    process.leave(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
