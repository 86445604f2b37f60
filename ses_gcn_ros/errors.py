"""The exceptions of the package: each message names the value, the limit and the way out."""

from __future__ import annotations

LONGEST = 400  # characters of a sentence; what comes from damaged files has no end otherwise


def shortened(text: str, longest: int = LONGEST) -> str:
    """Text on one line, with its middle left out where it is too long."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    return f"{text[: 2 * longest // 3]} … {text[3 - longest // 3 :]}"


# What Python raises where the content of a file has another shape than it is read by, numbers
# without end included.
MISSHAPEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class SesGcnError(Exception):
    """Base of every error that a user can cause and mend: one sentence, at most `LONGEST` long."""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(shortened(sentence))


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
