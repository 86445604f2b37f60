"""Run a node: ``python -m ses_gcn_ros.nodes forecaster_node --ros-args …``."""

import importlib
import sys

from ses_gcn_ros.nodes import process

if __name__ == "__main__":
    process.prepare()
    executable = sys.argv.pop(1)
    importlib.import_module(f"ses_gcn_ros.nodes.{executable}").main()
