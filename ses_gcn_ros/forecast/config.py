"""Everything that can be set about the forecaster node."""

from __future__ import annotations

from dataclasses import dataclass

from ses_gcn_ros.config import option

ENGINES = ("auto", "compiled", "onnx", "eager", "cuda", "graph")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class ForecastConfig:
    """Parameters of the forecaster node, with their units and limits.

    Skeletons may come in any frame that does not move and whose z points up: where its origin
    lies and where its x points does not matter.
    """

    autostart: bool = option(True, "configure and activate at start, without a lifecycle manager")
    weights: str = option(
        "", "path of a .safetensors file, or name of weights that ship; empty: sesgcn_workcell"
    )
    engine: str = option("auto", "what runs the network; auto: the fastest there", choices=ENGINES)
    device: str = option(
        "auto", "processor; cuda without a GPU is an error, not a fallback", choices=DEVICES
    )
    threads: int = option(
        1,
        "that engine onnx may use; engine compiled takes one",
        minimum=1,
        maximum=64,
    )
    reliability: str = option(
        "reliable",
        "of the skeletons; reliable never hears a best-effort publisher",
        choices=("reliable", "best_effort"),
    )
    gap: float = option(
        0.2, "longest gap between observations that is interpolated [s]", minimum=0.02, maximum=2
    )
    joint_gap: float = option(
        0.2,
        "longest time a joint may be unseen and still be interpolated [s]",
        minimum=0,
        maximum=2,
    )
    forget_after: float = option(
        1.0, "time after which a person out of sight is forgotten [s]", minimum=0.1, maximum=60
    )
    interpolation: str = option(
        "auto",
        "between observations; auto is cubic where they are more than 1.8 frames apart",
        choices=("auto", "linear", "cubic"),
    )
    fallback_radius: float = option(
        0.05,
        "radius around constant-velocity forecasts at the first step [m]",
        minimum=0,
        maximum=1,
    )
    fallback_growth: float = option(
        1.6, "by which that radius grows [m/s]; 1.6 m/s is a walk begun", minimum=0, maximum=10
    )
    adaptive: bool = option(
        True, "let the radius follow what happens to the forecasts (where weights carry one)"
    )
    adaptive_rate: float = option(
        0.1,
        "by which the share of misses asked for moves per second",
        minimum=0,
        maximum=2,
    )
    adaptive_memory: float = option(
        10.0, "time constant of forgetting recent errors [s]", minimum=1, maximum=3600
    )
    adaptive_least: float = option(
        0.1, "least factor on the calibrated radius", minimum=0.01, maximum=1
    )
    adaptive_most: float = option(
        5.0, "largest factor on the calibrated radius", minimum=1, maximum=50
    )
    adaptive_state: str = option(
        "", "file that keeps the radius over restarts; empty: in the user's state; none: not kept"
    )
    adaptive_actions: bool = option(
        False, "let it follow each action by itself; `actions` says what people do"
    )
    scored: bool = option(
        True,
        "keep score of the network against the last pose and damped velocity, and use the better "
        "where it is behind",
    )
    coverage_band: float = option(
        0.03,
        "how far coverage may lie from what is asked before the node says so",
        minimum=0.005,
        maximum=0.5,
    )
