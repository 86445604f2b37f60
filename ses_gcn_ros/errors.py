"""The exceptions of the package: each message names the value, the limit and the way out."""

from __future__ import annotations


class SesGcnError(Exception):
    """Base of every error that a user can cause and mend."""


class InputError(SesGcnError):
    """An array or message has the wrong shape, layout, order or content."""


class ConfigError(SesGcnError):
    """A parameter, recipe or parameter file is wrong."""


class ModelError(SesGcnError):
    """Weights are missing, damaged or of another shape, or their device is not there."""


class BagError(SesGcnError):
    """A bag is missing, truncated or lacks what was asked of it."""


class RobotError(SesGcnError):
    """The robot's description or one of its frames is missing or unusable."""
