"""An executor for one thread that goes about its work directly.

rclpy's own builds its wait set with a context manager per entity, wraps every callback in a task
and wakes itself twice after each; that is most of what a small node costs (docs/benchmarks.md).
None of it is needed where one thread takes, calls and waits.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rclpy.event_handler import EventHandler
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from ses_gcn_ros.nodes.polling import Unattended
from ses_gcn_ros.nodes.wait_sets import Act, WaitSet, guard_act, subscription_act, timer_act

COLLECT_EVERY = 10.0  # s between collections of garbage
# s between looks at services and at events of the middleware. A node has forty of them, which come
# once in a while; to wait for them all with every message costs as much as the rest of a turn.
LOOK_EVERY = 0.05


class DirectExecutor(SingleThreadedExecutor):
    """Single-threaded executor with little between a message and its callback.

    Entities may be made and destroyed in callbacks, and `wake` called from any thread, as with
    rclpy's own. Services and events of the middleware are looked after every `LOOK_EVERY` seconds.
    Python's garbage collector runs between callbacks only, and leaves alone what was there when
    the first spin began.
    """

    def __init__(self) -> None:
        self._changed = True  # whether entities have come or gone since the wait sets were made
        super().__init__()
        self._tasks: list[Any]
        self._urgent: WaitSet
        self._patient: WaitSet
        self._next_look = self._next_collection = 0.0
        self._idle = False  # whether the last wait ended with nothing to do
        self._closing: dict[Callable[[], None], None] = {}  # a set that keeps its order

    def at_end_of_turn(self, callback: Callable[[], None]) -> None:
        """Call back once what was ready in this turn is dealt with, however often this is asked."""
        self._closing[callback] = None

    def wake(self) -> None:
        """Go on instead of waiting; nodes call this when entities were created or destroyed."""
        self._changed = True
        super().wake()

    def add_node(self, node: Any) -> bool:
        """Serve a node as well."""
        added: bool = super().add_node(node)
        self._changed = True
        return added

    def remove_node(self, node: Any) -> None:
        """Serve a node no longer."""
        super().remove_node(node)
        self._changed = True

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for work, for `LOOK_EVERY` seconds at most, do what is ready, and return."""
        if self._changed:
            self._changed = False  # before looking, so that a change meanwhile isn't lost
            self._list_entities()
        patience = max(self._next_look - time.monotonic(), 0.0)
        timeout = patience if timeout_sec is None else min(timeout_sec, patience)
        ready = self._urgent.wait(int(timeout * 1e9))
        self._do(ready)
        while self._closing:
            callback = next(iter(self._closing))
            del self._closing[callback]
            callback()
        # Fast DDS ends every wait for messages of a subscription that has an event, too, until that
        # is taken. A timer that was reset ends one wait: so not at once.
        woken_for_events, self._idle = self._idle and not ready, not ready
        if woken_for_events or time.monotonic() >= self._next_look:
            self._look()
        self._go_on_with_tasks()
        self._collect()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Let go of everything."""
        self._changed = True
        finished: bool = super().shutdown(timeout_sec)
        return finished

    def _look(self) -> None:
        """Look after services and events; later if entities have come or gone in this turn."""
        if not self._changed:
            self._do(self._patient.wait(0))
            self._next_look = time.monotonic() + LOOK_EVERY

    def _do(self, ready: Iterable[Act]) -> None:
        if not self._context.ok():
            raise ExternalShutdownException
        for act in ready:
            act()

    def _list_entities(self) -> None:
        """Make the wait sets anew."""
        nodes = self.get_nodes()
        urgent: list[tuple[str, Any, Act]] = []
        for node in nodes:
            for subscription in node.subscriptions:
                if not isinstance(subscription.callback_group, Unattended):
                    act = subscription_act(subscription) or self._indirect(
                        self._take_subscription, subscription
                    )
                    urgent.append(("subscription", subscription.handle, act))
        for node in nodes:
            for client in node.clients:
                act = self._indirect(self._take_client, client)
                urgent.append(("client", client.handle, act))
            for guard in node.guards:
                act = guard_act(guard) or self._indirect(self._take_guard_condition, guard)
                urgent.append(("guard_condition", guard.handle, act))
        for node in nodes:  # last: what came may have reset a timer
            for timer in node.timers:
                act = timer_act(timer) or self._indirect(self._take_timer, timer)
                urgent.append(("timer", timer.handle, act))
        urgent += [
            ("guard_condition", guard.handle, _nothing)
            for guard in (self._guard, self._sigint_gc)
            if guard is not None
        ]
        services = [
            ("service", service.handle, self._indirect(self._take_service, service))
            for node in nodes
            for service in node.services
        ]
        waitables = [
            (waitable, self._indirect(self._take_waitable, waitable))
            for node in nodes
            for waitable in node.waitables
        ]
        events = [pair for pair in waitables if isinstance(pair[0], EventHandler)]
        others = [pair for pair in waitables if not isinstance(pair[0], EventHandler)]
        self._urgent = WaitSet(self._context, urgent, others)
        self._patient = WaitSet(self._context, services, events)

    def _indirect(self, take: Callable[[Any], Any], entity: Any) -> Act:
        return partial(self._run, take, entity)

    def _run(self, take: Callable[[Any], Any], entity: Any) -> None:
        """Take what is there for an entity and call back, as rclpy's executor does."""
        try:
            call = take(entity)
        except InvalidHandle:  # destroyed in a callback
            return
        if call is None:
            return
        running = call()
        try:
            running.send(None)
        except StopIteration:
            return
        self.create_task(running)

    def _go_on_with_tasks(self) -> None:
        """Run what other threads ask for, and callbacks that wait for something themselves.

        Whoever adds a task, or has what one waits for, wakes this executor.
        """
        if not self._tasks:
            return
        with self._tasks_lock:
            tasks = [entry[0] for entry in self._tasks]
        for task in tasks:
            if not task.done() and not task.cancelled():
                task()
            if task.done() and task.exception() is not None:
                raise task.exception()
        with self._tasks_lock:
            self._tasks = [
                entry for entry in self._tasks if not entry[0].done() and not entry[0].cancelled()
            ]

    def _collect(self) -> None:
        now = time.monotonic()
        if now < self._next_collection:
            return
        first = self._next_collection == 0.0
        self._next_collection = now + COLLECT_EVERY
        gc.collect()
        if first:
            gc.freeze()
            gc.disable()


def _nothing() -> None:
    pass
