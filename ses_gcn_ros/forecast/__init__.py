"""History in, forecast out: weights, engines, resampling, baselines, the forecaster of a cell.

What is named here is imported when it is asked for: reading a weights file takes no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ses_gcn_ros.forecast.adaptive import AdaptiveRadius
    from ses_gcn_ros.forecast.config import ForecastConfig
    from ses_gcn_ros.forecast.engine import Engine, build_engine, load
    from ses_gcn_ros.forecast.forecaster import Counts, Forecast, Forecaster
    from ses_gcn_ros.forecast.weights import Weights, read_weights, write_weights

_HOME = {
    "AdaptiveRadius": "adaptive",
    "Counts": "forecaster",
    "Engine": "engine",
    "Forecast": "forecaster",
    "ForecastConfig": "config",
    "Forecaster": "forecaster",
    "Weights": "weights",
    "build_engine": "engine",
    "load": "engine",
    "read_weights": "weights",
    "write_weights": "weights",
}
__all__ = [
    "AdaptiveRadius",
    "Counts",
    "Engine",
    "Forecast",
    "ForecastConfig",
    "Forecaster",
    "Weights",
    "build_engine",
    "load",
    "read_weights",
    "write_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
