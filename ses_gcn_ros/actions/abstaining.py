"""The right not to know: calibrated probabilities, and the least one that is answered with.

Temperature: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Risk-controlled
rejection: Geifman, El-Yaniv: Selective Classification for Deep Neural Networks, NeurIPS 2017, with
the binomial bound of Clopper and Pearson.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError


def probabilities(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Calibrated probabilities of logits (..., classes)."""
    scaled = np.asarray(logits, np.float64) / temperature
    chances = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=-1, keepdims=True))


def best_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Temperature under which labels (N,) are the most likely, given logits (N, classes)."""
    # Here, because the node that imports this file needs no optimiser.
    from scipy.optimize import minimize_scalar

    def surprise(log_temperature: float) -> float:
        chances = probabilities(logits, float(np.exp(log_temperature)))
        return -float(np.log(chances[np.arange(len(labels)), labels] + 1e-300).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-3, 3), method="bounded").x))


def risk_bound(wrong: float, answered: float, confidence: float) -> float:
    """Share of wrong answers that is not exceeded, with a confidence.

    `wrong` is the share that was, of so many `answered`; 1 where there are none.
    """
    from scipy.stats import beta

    failed = wrong * answered
    if failed >= answered:
        return 1.0
    return float(beta.ppf(confidence, failed + 1, answered - failed))


def risk_threshold(
    probability: NDArray[np.floating],
    right: NDArray[np.bool_],
    risk: float,
    confidence: float = 0.9,
    weight: NDArray[np.floating] | None = None,
) -> float:
    """Least probability with which an answer may be given.

    Parameters
    ----------
    probability : NDArray, shape (N,)
        Of the answers to windows of people never trained on.
    right : NDArray, shape (N,), bool
        Whether they were right.
    risk : float
        Share of wrong answers among those given that may not be exceeded.
    confidence : float
        Probability with which that holds, over the draw of the windows.
    weight : NDArray, shape (N,), optional
        What each window counts: 1 where it tells something of its own, less where it overlaps
        with others or its class is seen more often than the others.

    Returns
    -------
    float
        Answers at or above it are given; above 1 where no threshold keeps the risk.

    Raises
    ------
    InputError
        If there are no windows.
    """
    if not len(probability):
        raise InputError("no windows to calibrate on; hold recordings of some people out")
    order = np.argsort(-probability)
    counted = np.ones(len(order)) if weight is None else np.asarray(weight, np.float64)[order]
    wrong, given = np.cumsum(counted * ~right[order]), np.cumsum(counted)
    # Uneven weights tell less than as many even ones (Kish's effective sample size).
    effective = given**2 / np.maximum(np.cumsum(counted**2), 1e-12) * min(1.0, counted.max())
    last = np.append(np.diff(probability[order]) != 0, True)  # a threshold splits no ties
    kept = [
        index
        for index in np.flatnonzero(last)
        if risk_bound(wrong[index] / given[index], effective[index], confidence) <= risk
    ]
    return float(probability[order][kept[-1]]) if kept else 1.1
