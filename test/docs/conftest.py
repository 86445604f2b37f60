"""A recorded run, for pages that show what is made of one."""

from recorded_run import run_bag, sample  # noqa: F401
