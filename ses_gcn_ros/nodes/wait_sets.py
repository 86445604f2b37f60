"""Wait sets that know what is to be done for whom, and direct ways to do it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.waitable import NumberOfEntities

Act = Callable[[], object]

MESSAGES_AT_ONCE = 10  # of one subscription; then the others and the timers have their turn


class WaitSet:
    """Entities to wait for, each with what is to be done when it is ready.

    The lists are made once; rclpy's wait set has to be filled anew for each wait.

    Parameters
    ----------
    context : rclpy.context.Context
    entities : sequence of (str, Any, callable)
        Kind, handle and act of each, in the order in which they are served. The kind is the
        middleware's name for it, such as "subscription".
    waitables : sequence of (Waitable, callable)
        Served before those.
    """

    def __init__(
        self,
        context: Any,
        entities: Sequence[tuple[str, Any, Act]],
        waitables: Sequence[tuple[Any, Act]] = (),
    ) -> None:
        kinds: list[Any] = [kind for kind, _, _ in entities]
        counts = NumberOfEntities(
            *(kinds.count("subscription"), kinds.count("guard_condition"), kinds.count("timer")),
            *(kinds.count("client"), kinds.count("service")),
        )
        for waitable, _ in waitables:
            counts += waitable.get_num_entities()
        self._wait_set = rclpy_implementation.WaitSet(
            *(counts.num_subscriptions, counts.num_guard_conditions, counts.num_timers),
            *(counts.num_clients, counts.num_services, counts.num_events, context.handle),
        )
        self._adding = [
            (getattr(self._wait_set, f"add_{kind}"), handle) for kind, handle, _ in entities
        ]
        self._checks = [
            (kinds[place], kinds[:place].count(kind), act)
            for place, (kind, _, act) in enumerate(entities)
        ]
        self._waitables = waitables

    def wait(self, timeout: int) -> list[Act]:
        """Wait at most `timeout` ns, for ever if it is negative, and give what is to be done."""
        wait_set = self._wait_set
        wait_set.clear_entities()
        for add, handle in self._adding:
            add(handle)
        for waitable, _ in self._waitables:
            waitable.add_to_wait_set(wait_set)
        wait_set.wait(timeout)
        ready = [act for waitable, act in self._waitables if waitable.is_ready(wait_set)]
        ready += [act for kind, index, act in self._checks if wait_set.is_ready(kind, index)]
        return ready


def subscription_act(subscription: Any) -> Act | None:
    """Call back for every message that waits, so that a node which fell behind catches up.

    None for a callback that only a task can run.
    """
    callback, handle = subscription.callback, subscription.handle
    kind, raw = subscription.msg_type, subscription.raw
    if inspect.iscoroutinefunction(callback):
        return None
    try:  # as rclpy finds out
        inspect.signature(callback).bind(None)
        with_info = False
    except TypeError:
        with_info = True

    def act() -> None:
        for _ in range(MESSAGES_AT_ONCE):
            try:
                with handle:
                    taken = handle.take_message(kind, raw)
            except InvalidHandle:  # destroyed in a callback
                return
            if taken is None:
                return
            if with_info:
                callback(*taken)
            else:
                callback(taken[0])

    return act


def timer_act(timer: Any) -> Act | None:
    """Call back unless the timer was reset or destroyed meanwhile; None as above."""
    callback, handle = timer.callback, timer.handle
    if (
        callback is None
        or inspect.iscoroutinefunction(callback)
        or inspect.signature(callback).parameters  # it may want to be told about the call
    ):
        return None

    def act() -> None:
        try:
            with handle:
                if not handle.is_timer_ready():
                    return
                handle.call_timer()
        except InvalidHandle:
            return
        callback()

    return act


def guard_act(guard: Any) -> Act | None:
    """Call back unless the guard condition was destroyed meanwhile; None as above."""
    callback, handle = guard.callback, guard.handle
    if callback is None or inspect.iscoroutinefunction(callback):
        return None

    def act() -> None:
        try:
            with handle:
                pass
        except InvalidHandle:
            return
        callback()

    return act
