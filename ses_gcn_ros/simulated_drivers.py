"""Drivers of robots that do what their interfaces say, for tests and for the demo's robot.

Written from the ranges and the orders of the drivers' public message and service definitions and
manuals, as of November 2026. What is out of range is refused; a robot that was paused or stopped
moves on only after what its driver needs for that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ses_gcn_ros.drivers import DRIVERS, PAUSE, STOP, BridgeConfig, Call, holds

# lowest and highest value of the field that carries the factor, whole numbers where it is whole
_RANGES = {
    "ur": (0.01, 1.0),
    "jtc": (0.0, 10.0),
    "fanuc": (0, 100),
    "abb": (0, 100),
    "doosan": (1, 100),
    "xarm": (0, 0),
    "cnr": (0, 100),
    "nav2": (0.0, 100.0),
    "topic": (0.0, 1.0),
}
SIMULATED = tuple(_RANGES)


@dataclass
class SimulatedDriver:
    """One robot's driver.

    Attributes
    ----------
    config : BridgeConfig
        Of the bridge that speaks to it.
    refuses : frozenset of str
        Names of topics and services whose calls it refuses whatever they say.
    factor : float
        Share of the full speed that it was told last, 0 to 1.
    held_by : str
        Means that hold the robot; empty while it may move. It comes up at full speed, as drivers
        do: ros2_control's controller begins at factor 1, a program runs at the slider's last place.
    needs : tuple of Call
        What it needs to move on, any of them.
    refused : list of Call
        What it refused.
    """

    config: BridgeConfig
    refuses: frozenset[str] = frozenset()
    factor: float = 1.0
    held_by: str = ""
    needs: tuple[Call, ...] = ()
    refused: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driver, self._holds = DRIVERS[self.config.driver], holds(self.config)

    def pause(self) -> None:
        """Hold it as somebody does who paused its program, or set the factor to 0."""
        self.held_by, self.needs = PAUSE, self._holds[0].resume if self._holds else ()

    @property
    def speed(self) -> float:
        """Share of the full speed at which the robot moves, 0 to 1."""
        return 0.0 if self.held_by else self.factor

    def take(self, call: Call) -> bool:
        """Do what a call says; says whether it was accepted."""
        accepted = call.name not in self.refuses and self._obey(call)
        if not accepted:
            self.refused.append(call)
        return accepted

    def _obey(self, call: Call) -> bool:
        hold = next((hold for hold in self._holds if hold.call == call), None)
        if hold is not None:
            self.held_by = hold.means
            # a stop ends what was paused; cancelling goals leaves it paused
            self.needs = hold.resume if hold.means == STOP else hold.resume or self.needs
            return True
        if any(call in hold.resume for hold in self._holds):
            if call not in self.needs:  # what runs can't be started
                return False
            self.held_by, self.needs = "", ()
            return True
        return not self.needs and self._slide(call)

    def _slide(self, call: Call) -> bool:
        value = dict(call.fields)[self.driver.field]
        lowest, highest = _RANGES[self.config.driver]
        if (self.driver.whole and not isinstance(value, int)) or not lowest <= value <= highest:
            return False
        # xArm moves or doesn't; for Nav2, 0 is no limit
        unlimited = not self.driver.scale or (self.config.driver == "nav2" and value == 0)
        self.factor = 1.0 if unlimited else min(value / self.driver.scale, 1.0)
        if self.factor > 0.0:
            self.held_by = ""
        return True
