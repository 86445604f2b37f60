"""Why a transform could not be given."""


class TransformException(Exception):
    """Base of everything that a transform buffer raises."""


class ConnectivityException(TransformException):
    """Two frames exist, but no path of transforms joins them."""


class LookupException(TransformException):
    """A frame does not exist, or the frames form a loop."""


class ExtrapolationException(TransformException):
    """The time asked for lies outside the time that the stored transforms cover."""


class InvalidArgumentException(TransformException):
    """A frame id is empty or starts with a slash."""


class TimeoutException(TransformException):
    """The transform did not arrive in the time allowed."""
