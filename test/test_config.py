"""A configuration takes what it declares and says why it refuses the rest."""

from dataclasses import dataclass

import pytest

from ses_gcn_ros.config import build, option
from ses_gcn_ros.errors import ConfigError


@dataclass(frozen=True)
class Speed:
    limit: float = option(1.0, "highest speed [m/s]", minimum=0.0, maximum=2.0)
    free: float = option(0.0, "any number")
    joints: int = option(7, "number of joints", minimum=1)
    unit: str = option("m", "unit of length", choices=("m", "mm"))
    radii: tuple[float, ...] = option((), "radii [m]", minimum=0.0)
    enabled: bool = option(True, "whether it is on")


def test_defaults_are_used_for_what_is_not_given():
    assert build(Speed, {"joints": 6}) == Speed(joints=6)


def test_whole_numbers_serve_as_floats_and_lists_as_tuples():
    assert build(Speed, {"limit": 2, "radii": [1, 0.5]}) == Speed(limit=2.0, radii=(1.0, 0.5))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"limt": 1.0}, "unknown parameter 'limt'; Speed knows enabled, free, joints"),
        ({"limit": "fast"}, "parameter 'limit' is 'fast' .str.; it takes a float: highest speed"),
        ({"limit": 2.5}, r"parameter 'limit' is 2.5; it must lie in \[0.0, 2.0\]"),
        ({"limit": float("nan")}, "parameter 'limit' is nan; it must lie in"),
        ({"limit": 10**400}, "parameter 'limit' is inf; it must lie in"),
        ({"free": float("inf")}, "parameter 'free' is inf; it takes a finite number"),
        ({"free": -(10**400)}, "parameter 'free' is -inf; it takes a finite number"),
        ({"joints": 6.5}, "parameter 'joints' is 6.5 .float.; it takes a int"),
        ({"joints": True}, "parameter 'joints' is True .bool.; it takes a int"),
        ({"unit": "cm"}, "parameter 'unit' is 'cm'; it takes one of m, mm"),
        ({"radii": 0.1}, "parameter 'radii' is 0.1; it takes a list"),
        ({"radii": [0.1, -0.2]}, "parameter 'radii' is -0.2; it must lie in"),
        ({"enabled": 1}, "parameter 'enabled' is 1 .int.; it takes a bool"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(Speed, values)
