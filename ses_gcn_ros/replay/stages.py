"""The first half of a replay, from the bag to forecasts and the robot; here or in a process beside.

The second half, from forecasts to states, takes about as long. So a long bag is replayed by two
processes, one half each, with a bounded queue between them. The numbers are the same to the bit.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ses_gcn_ros.bags.bag_reader import AnyBag, open_bag
from ses_gcn_ros.errors import SesGcnError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.replay.events import Event, Events
from ses_gcn_ros.replay.forecast_scores import ForecastScores
from ses_gcn_ros.replay.forecasting import with_forecasts
from ses_gcn_ros.replay.health import Health
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.parcels import Item, pack, unpack
from ses_gcn_ros.replay.places import Wanted, with_places
from ses_gcn_ros.replay.topics import find_topics

_BATCH = 64  # events that go over to the other process at once
_PIPE = 1 << 20  # bytes, the most that Linux lets anybody have
_ROBOT = ("/tf", "/tf_static", "joint_states", "trajectory")


@dataclass
class Heard:
    """What the first half has to say at the end.

    Attributes
    ----------
    health : Health
    scores : ForecastScores
    notes : list of str
        What has to be said about the bag.
    broken : str
        Why the bag could not be read to its end; empty if it could.
    """

    health: Health
    scores: ForecastScores
    notes: list[str]
    broken: str = ""


def first_half(bag: AnyBag, options: Options, wanted: Wanted) -> Iterator[Event]:
    """Events of an open bag with forecasts, everybody in the world; the last one is an "end".

    What breaks before the first event is raised, what breaks later ends the stream.
    """
    return with_places(_heard(bag, options), wanted)


def _heard(bag: AnyBag, options: Options) -> Iterator[Event]:
    """Events with forecasts, and at the end what has to be said about them."""
    heard = Heard(Health(), ForecastScores(), [])
    time = 0.0
    try:
        topics = find_topics(bag.topics, options.topics())
        read = ("/diagnostics", *(() if options.demo_robot else _ROBOT))
        if options.recorded:
            read += ("forecasts", "safety_state")
        world = options.safety.world_frame
        source = Events(bag, topics, options.naming, world, options.pose, read)
        events: Iterator[Event] = iter(source)
        if not options.recorded:
            config = options.forecaster
            engine = load(config.weights or None, engine=config.engine, device=config.device)
            events = with_forecasts(events, engine, config)
        for event in events:
            time = event.time
            heard.health.hear(event)
            if event.kind == "people":
                heard.scores.observe(event.content)
            elif event.kind == "forecasts":
                heard.scores.forecast(*event.content[1:])
            elif event.kind == "diagnostics":
                continue
            yield event
        heard.notes += source.notes
    except SesGcnError as error:
        if not heard.health.frames:
            raise
        heard.broken = str(error)
    heard.scores.finish()
    yield Event(time, "end", heard)


@contextlib.contextmanager
def beside(path: Path, options: Options, wanted: Wanted) -> Iterator[Iterator[Event]]:
    """Run the first half in a process of its own; the context ends it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    _widen(theirs)
    process = context.Process(target=_send, args=(theirs, path, options, wanted), daemon=True)
    process.start()
    theirs.close()
    try:
        yield _receive(ours)
    finally:
        ours.close()
        process.join(1.0)
        if process.is_alive():
            process.terminate()
            process.join()


def _widen(pipe: multiprocessing.connection.Connection) -> None:
    """Let a pipe hold some batches, where it can be told to, so that neither half waits for one."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _send(
    connection: multiprocessing.connection.Connection, path: Path, options: Options, wanted: Wanted
) -> None:
    batch: list[Item] = []
    try:
        with open_bag(path) as bag:
            for event in first_half(bag, options, wanted):
                batch.append(event)
                if len(batch) >= _BATCH:
                    connection.send_bytes(pack(batch))
                    batch.clear()
    except SesGcnError as error:
        batch.append(error)
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        connection.send_bytes(pack(batch))


def _receive(connection: multiprocessing.connection.Connection) -> Iterator[Event]:
    while True:
        try:
            batch = unpack(connection.recv_bytes())
        except EOFError:
            raise SesGcnError(
                "the process that reads the bag and forecasts was ended; run evaluate again"
            ) from None
        for item in batch:
            if isinstance(item, SesGcnError):
                raise item
            yield item
            if item.kind == "end":
                return
