"""History in, forecast out: weights, engines, resampling, baselines, the forecaster of a cell."""

from ses_gcn_ros.forecast.adaptive import AdaptiveRadius
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine, build_engine, load
from ses_gcn_ros.forecast.forecaster import Counts, Forecast, Forecaster
from ses_gcn_ros.forecast.weights import Weights, read_weights, write_weights

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
