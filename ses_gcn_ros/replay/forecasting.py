"""The forecaster node's part of a replay: after everybody's skeletons, everybody's forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ses_gcn_ros.errors import InputError, SesGcnError
from ses_gcn_ros.forecast import AdaptiveRadius, Engine, ForecastConfig, Forecaster
from ses_gcn_ros.replay.events import Event, PeopleForecast, PeopleSeen, Refused

_BLOCK = 32  # observations that are forecast at once, which gives the same in less time
_LONGEST = 1000  # events of a block, where there are few people


def with_forecasts(
    events: Iterable[Event], engine: Engine, config: ForecastConfig
) -> Iterator[Event]:
    """Events with a `PeopleForecast` behind each `PeopleSeen`, and none that was recorded.

    An adaptive radius begins as it was calibrated, so that a replay gives the same every time.

    Skeletons that the forecaster refuses stay: the safety monitor judges them by itself, as its
    node does. `Refused` says why there is no forecast.
    """
    adaptive = None
    if config.adaptive and engine.radius is not None:
        adaptive = AdaptiveRadius(engine.radius, engine.coverage, config)
    forecaster = Forecaster(engine, config, adaptive)
    frame_id = ""
    for block in _blocks(events):
        seen = [each for each in block if isinstance(each, PeopleSeen) and each.frame_id]
        if seen and seen[0].frame_id != frame_id:
            # Histories in another frame would look like a jump of everybody.
            forecaster = Forecaster(engine, config, adaptive, forecaster.score)
            frame_id = seen[0].frame_id
        answers = iter(forecaster.replay((each.stamp, each.people) for each in seen))
        for event in block:
            yield event
            if not isinstance(event, PeopleSeen):
                continue
            if event.frame_id:
                answer = next(answers)
            else:
                answer = InputError(
                    "skeletons came without a frame_id; set it to a frame with z up"
                )
            if isinstance(answer, InputError):
                yield Refused(event.time, "forecaster", str(answer))
            else:
                yield PeopleForecast(event.time, event.stamp, frame_id, answer)


def _blocks(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Events in blocks, each with people in one frame; an error comes behind what came before."""
    block: list[Event] = []
    observations, frame_id = 0, ""
    broken: SesGcnError | None = None
    try:
        for event in events:
            if isinstance(event, PeopleForecast):
                continue
            if isinstance(event, PeopleSeen):
                frame = event.frame_id or frame_id
                if observations == _BLOCK or frame != frame_id:
                    yield block
                    block, observations = [], 0
                observations, frame_id = observations + 1, frame
            block.append(event)
            if len(block) == _LONGEST:
                yield block
                block, observations = [], 0
    except SesGcnError as error:
        broken = error
    yield block
    if broken is not None:
        raise broken
