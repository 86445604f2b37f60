"""What a replay is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.forecast import ForecastConfig
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay.collision_scores import THRESHOLD
from ses_gcn_ros.replay.topics import Naming
from ses_gcn_ros.safety import SafetyConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How a bag is replayed.

    Attributes
    ----------
    forecaster : ForecastConfig
    safety : SafetyConfig
    naming : Naming
        How the names of the bag become ours.
    pose : PoseConfig
        How people are found in the images of a bag without skeletons.
    demo_robot : bool
        Whether to simulate the demo cell's robot, which obeys, instead of the recorded one.
    recorded : bool
        Whether to judge the forecasts and states that were recorded instead of computing them.
    threshold : float
        Distance of surfaces that counts as a collision [m].
    film : bool
        Whether to write the replay that reports are drawn from, besides the numbers.
    """

    forecaster: ForecastConfig = field(default_factory=ForecastConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    naming: Naming = field(default_factory=Naming)
    pose: PoseConfig = field(default_factory=PoseConfig)
    demo_robot: bool = False
    recorded: bool = False
    threshold: float = THRESHOLD
    film: bool = True

    def topics(self) -> Naming:
        """Names of the topics, those that the safety node takes from its parameters included."""
        told = {"joint_states": self.safety.joint_states, "trajectory": self.safety.trajectory}
        # a topic that a parameter names may be missing, one that was remapped may not
        return Naming(self.naming.topics, self.naming.frames, self.naming.layout, told)


def node_parameters(path: str | Path, node: str, kind: type[T], **more: Any) -> T:
    """Configuration of a node from a ROS parameter file, as the node itself would read it.

    Parameters
    ----------
    path : str or Path
        YAML file; an empty name stands for none.
    node : str
        Name of the node.
    kind : type
        Its configuration.
    **more
        Parameters on top of those of the file.

    Raises
    ------
    ConfigError
        If the file can't be read, or has a parameter that the node doesn't know.
    """
    found: dict[str, Any] = {}
    if path:
        try:
            content = yaml.safe_load(Path(path).read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"params_file '{path}' can't be read: {reason}") from error
        if not isinstance(content, Mapping):
            raise ConfigError(f"params_file '{path}' holds no parameters")
        for name, section in content.items():
            if name.rsplit("/", 1)[-1] in (node, "**"):
                found |= (section or {}).get("ros__parameters") or {}
    found.pop("use_sim_time", None)  # every node knows it
    return build(kind, {**found, **more})
