"""The forecaster node's part of a replay: after everybody's skeletons, everybody's forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.evaluation.offline.events import Event
from ses_gcn_ros.forecast import AdaptiveRadius, Engine, ForecastConfig, Forecaster


def with_forecasts(
    events: Iterable[Event], engine: Engine, config: ForecastConfig
) -> Iterator[Event]:
    """Events with a "forecasts" event behind each "people" event, and none that was recorded.

    An adaptive radius begins as it was calibrated, so that a replay gives the same every time.

    Skeletons that the forecaster refuses stay: the safety monitor judges them by itself, as its
    node does. A "refused" event says why there is no forecast.
    """
    adaptive = None
    if config.adaptive and engine.radius is not None:
        adaptive = AdaptiveRadius(engine.radius, engine.coverage, config)
    forecaster = Forecaster(engine, config, adaptive)
    frame_id = ""
    for event in events:
        if event.kind == "forecasts":
            continue
        yield event
        if event.kind != "people":
            continue
        observation = event.content
        try:
            if not observation.frame_id:
                raise InputError("skeletons came without a frame_id; set it to a frame with z up")
            if observation.frame_id != frame_id:
                # Histories in another frame would look like a jump of everybody.
                forecaster = Forecaster(engine, config, adaptive)
                frame_id = observation.frame_id
            forecaster.observe(observation.stamp, observation.people)
        except InputError as error:
            yield event._replace(kind="refused", content=("forecaster", str(error)))
            continue
        answer = (observation.stamp, frame_id, forecaster.forecast())
        yield event._replace(kind="forecasts", content=answer)
