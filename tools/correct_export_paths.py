"""Make the CMake export files of the ROS 2 wheels name this environment's headers.

The wheels were built in a container whose Python and numpy include folders are written into their
CMake files; CMake refuses include folders that don't exist. Running this again changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

_BUILD_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
_BUILD_NUMPY = re.compile(r'[^;"\s]*/numpy/_?core/include')


def main() -> None:
    """Rewrite the two paths in every export file below the environment's share folder."""
    corrected = 0
    for path in Path(sys.prefix, "share").glob("*/cmake/*.cmake"):
        text = path.read_text()
        new = _BUILD_PYTHON.sub(sysconfig.get_path("include"), text)
        new = _BUILD_NUMPY.sub(numpy.get_include(), new)
        if new != text:
            path.write_text(new)
            corrected += 1
    print(f"corrected the include folders in {corrected} CMake files")


if __name__ == "__main__":
    main()
