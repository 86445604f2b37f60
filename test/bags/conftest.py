"""The recorded run of the demo cell."""

from recorded_run import run_bag, sample

__all__ = ["run_bag", "sample"]
