"""What a forecast and a distance query cost, on this machine, beside the authors' own model.

Contenders take turns in short bursts, so that all of them see the same load, clock and heat. The
reference is timed on features that are ready; engines are timed from history to positions, with
every check and conversion that a node pays for.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros import __version__
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.config import ENGINES
from ses_gcn_ros.forecast.engine import UNITS_PER_METRE, Engine, build_engine
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.framing import frame, unframe
from ses_gcn_ros.safety import capsule_distances

REFERENCE = "reference"
PEOPLE = (1, 8, 64)
_BURST = 5  # calls in a row
_PACKAGES = ("numpy", "torch", "onnxruntime", "numba")
_LIMBS, _STEPS, _LINKS = 14, 25, 9  # a person's capsules, a second at 25 Hz, an arm's capsules


@dataclass(frozen=True)
class Timing:
    """Cost of one call.

    Attributes
    ----------
    part : str
        'forecast' or 'distances'.
    subject : str
        Name of the weights, or the size of the query.
    contender : str
        Engine or backend; 'reference' is the authors' model.
    people : int
        Batch size N.
    calls : int
        Number of calls that were timed.
    median, p99 : float
        Seconds.
    ratio : float
        Median of the part's first contender over this one's: how many times as fast.
    error : float
        Largest distance of a coordinate from the reference in double precision [m].
    """

    part: str
    subject: str
    contender: str
    people: int
    calls: int
    median: float
    p99: float
    ratio: float
    error: float


def benchmark_forecast(
    weights: Weights, people: Sequence[int] = PEOPLE, *, seconds: float = 5.0
) -> tuple[list[Timing], dict[str, str]]:
    """Every engine on the CPU against the authors' model, one thread each.

    Parameters
    ----------
    weights : Weights
        Network to run.
    people : sequence of int
        Batch sizes.
    seconds : float
        Time to spend on each batch size.

    Returns
    -------
    timings : list of Timing
        The reference first, for each batch size.
    missing : dict of str to str
        Why an engine is not among them.

    Raises
    ------
    ModelError
        If torch is missing, which runs the reference.
    """
    engines: dict[str, Engine] = {}
    missing: dict[str, str] = {}
    for name in ENGINES:
        if name != "auto":
            try:
                engines[name] = build_engine(weights, name, "cpu")
            except ModelError as error:
                missing[name] = str(error)
    timings = []
    with _one_thread():
        for count in people:
            timings += _compare_engines(weights, engines, count, seconds)
    return timings, missing


def benchmark_distances(people: Sequence[int] = (1, 8), *, seconds: float = 5.0) -> list[Timing]:
    """Distances of all limbs to all links over a forecast, compiled and in numpy."""
    timings = []
    for count in people:
        rng = np.random.default_rng(count)
        limbs = rng.normal(0, 1, (2, count, _STEPS, _LIMBS, 1, 3))
        links = rng.normal(0, 1, (2, _STEPS, 1, _LINKS, 3))

        def query(
            backend: str, limbs: NDArray[Any] = limbs, links: NDArray[Any] = links
        ) -> NDArray[np.float64]:
            return capsule_distances(
                limbs[0], limbs[1], 0.1, links[0], links[1], 0.1, backend=backend
            ).distance

        exact, calls = query("numpy"), {"numpy": lambda query=query: query("numpy")}
        errors = {"numpy": 0.0}
        try:
            errors["numba"] = float(np.abs(query("numba") - exact).max())
            calls["numba"] = lambda query=query: query("numba")
        except ConfigError:  # not installed: numpy is what runs
            pass
        subject = f"{count} × {_STEPS} × {_LIMBS} × {_LINKS}"
        timings += _summarise("distances", subject, count, _take_turns(calls, seconds), errors)
    return timings


def describe_machine() -> dict[str, Any]:
    """Processor, system and versions that figures depend on."""
    versions = {"ses_gcn_ros": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": load,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions,
    }


def as_json(timings: Sequence[Timing], missing: Mapping[str, str]) -> dict[str, Any]:
    """Everything that was measured, and on what."""
    return {
        "machine": describe_machine(),
        "missing": dict(missing),
        "timings": [asdict(timing) for timing in timings],
    }


def synthetic_histories(config: ModelConfig, people: int, seed: int = 0) -> NDArray[np.float32]:
    """Smooth motion of made-up people around (1, 1, 1) m, shape (N, T, J, 3) [m].

    Its speed and extent are a person's; what a network makes of it does not matter here.
    """
    rng = np.random.default_rng(seed)
    pose = 1 + rng.normal(0, 0.4, (people, 1, config.joints, 3))
    velocity = rng.normal(0, 0.5, (people, 1, config.joints, 3))
    acceleration = rng.normal(0, 1.0, (people, 1, config.joints, 3))
    seconds = (np.arange(config.observed) / config.fps)[:, None, None]
    path = pose + velocity * seconds + 0.5 * acceleration * seconds**2
    return path.astype(np.float32)


def _compare_engines(
    weights: Weights, engines: Mapping[str, Engine], people: int, seconds: float
) -> list[Timing]:
    import torch

    from ses_gcn_ros.evaluation.reference import reference_model

    config = weights.config
    history = synthetic_histories(config, people)
    scale = np.float32(UNITS_PER_METRE[config.unit])
    framed = frame(history * scale, config)
    features = torch.from_numpy(np.ascontiguousarray(framed.features))
    with torch.inference_mode():
        exact = reference_model(weights).double()(features.double()).numpy()
        expected = unframe(exact, framed, config) / scale
        network = reference_model(weights)
        alone = unframe(network(features).numpy(), framed, config) / scale
        errors = {REFERENCE: float(np.abs(alone - expected).max())}
        calls: dict[str, Callable[[], object]] = {REFERENCE: lambda: network(features)}
        for name, engine in engines.items():
            errors[name] = float(np.abs(engine.predict(history) - expected).max())
            calls[name] = lambda engine=engine: engine.predict(history)  # type: ignore[misc]
        durations = _take_turns(calls, seconds)
    return _summarise("forecast", weights.name, people, durations, errors)


def _take_turns(
    calls: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, NDArray[np.float64]]:
    """Durations of calls [s], in bursts by turns until the time is up, at least two bursts each."""
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    with _no_collection():
        end = time.perf_counter() + seconds
        turn = 0
        while turn < 2 or time.perf_counter() < end:
            for name, call in calls.items():
                for _ in range(_BURST):
                    start = time.perf_counter()
                    call()
                    durations[name].append(time.perf_counter() - start)
            turn += 1
    return {name: np.array(values) for name, values in durations.items()}


def _summarise(
    part: str,
    subject: str,
    people: int,
    durations: Mapping[str, NDArray[np.float64]],
    errors: Mapping[str, float],
) -> list[Timing]:
    medians = {name: float(np.median(values)) for name, values in durations.items()}
    first = next(iter(medians.values()))
    return [
        Timing(
            part=part,
            subject=subject,
            contender=name,
            people=people,
            calls=len(values),
            median=medians[name],
            p99=float(np.percentile(values, 99)),
            ratio=first / medians[name],
            error=errors[name],
        )
        for name, values in durations.items()
    ]


@contextmanager
def _one_thread() -> Iterator[None]:
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"the benchmark's reference needs torch: {error}") from None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
