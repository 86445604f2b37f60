"""An executor for one thread that goes about its work directly.

rclpy's own builds its wait set with a context manager per entity, wraps every callback in a task
and wakes itself twice after each; that is most of what a small node costs (docs/benchmarks.md).
None of it is needed where one thread takes, calls and waits.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.waitable import NumberOfEntities

from ses_gcn_ros.nodes.polling import Unattended

COLLECT_EVERY = 10.0  # s between collections of garbage
MESSAGES_AT_ONCE = 10  # of one subscription; then the others and the timers have their turn


class DirectExecutor(SingleThreadedExecutor):
    """Single-threaded executor with little between a message and its callback.

    Entities may be made and destroyed in callbacks, and `wake` called from any thread, as with
    rclpy's own. Python's garbage collector runs between callbacks only, and leaves alone what was
    there when the first spin began.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[Any]
        self._counts: tuple[int, ...] = ()
        self._wait_set: Any = None
        self._next_collection = 0.0

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for work, do what is ready, and return."""
        nodes = self.get_nodes()
        subscriptions = [
            entity
            for node in nodes
            for entity in node.subscriptions
            if not isinstance(entity.callback_group, Unattended)
        ]
        timers = [entity for node in nodes for entity in node.timers]
        services = [entity for node in nodes for entity in node.services]
        clients = [entity for node in nodes for entity in node.clients]
        waitables = [entity for node in nodes for entity in node.waitables]
        guards = [entity for node in nodes for entity in node.guards]
        waking = [guard for guard in (self._guard, self._sigint_gc) if guard is not None]

        counts = NumberOfEntities(
            *(len(subscriptions), len(guards) + len(waking), len(timers)),
            *(len(clients), len(services)),
        )
        for waitable in waitables:
            counts += waitable.get_num_entities()
        wait_set = self._sized_wait_set(counts)
        for subscription in subscriptions:
            wait_set.add_subscription(subscription.handle)
        for timer in timers:
            wait_set.add_timer(timer.handle)
        for service in services:
            wait_set.add_service(service.handle)
        for client in clients:
            wait_set.add_client(client.handle)
        for guard in (*guards, *waking):
            wait_set.add_guard_condition(guard.handle)
        for waitable in waitables:
            waitable.add_to_wait_set(wait_set)
        wait_set.wait(-1 if timeout_sec is None else int(timeout_sec * 1e9))
        if not self._context.ok():
            raise ExternalShutdownException

        ready = [entity for entity in waitables if entity.is_ready(wait_set)]
        pointers = {
            kind: wait_set.get_ready_entities(kind)
            for kind in ("subscription", "timer", "service", "client", "guard_condition")
        }
        for waitable in ready:
            self._run(self._take_waitable, waitable)
        for kind, entities, take in (
            ("timer", timers, partial(self._run, self._take_timer)),
            ("subscription", subscriptions, self._take_waiting),
            ("service", services, partial(self._run, self._take_service)),
            ("client", clients, partial(self._run, self._take_client)),
            ("guard_condition", guards, partial(self._run, self._take_guard_condition)),
        ):
            if pointers[kind]:
                for entity in entities:
                    if _pointer(entity) in pointers[kind]:
                        take(entity)
        self._go_on_with_tasks()
        self._collect()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Let go of everything."""
        self._wait_set, self._counts = None, ()
        finished: bool = super().shutdown(timeout_sec)
        return finished

    def _sized_wait_set(self, counts: NumberOfEntities) -> Any:
        """Empty wait set with room for as many entities."""
        numbers = (
            *(counts.num_subscriptions, counts.num_guard_conditions, counts.num_timers),
            *(counts.num_clients, counts.num_services, counts.num_events),
        )
        if numbers != self._counts:
            self._wait_set = rclpy_implementation.WaitSet(*numbers, self._context.handle)
            self._counts = numbers
        self._wait_set.clear_entities()
        return self._wait_set

    def _take_waiting(self, subscription: Any) -> None:
        """Call back for every message that waits, so that a node which fell behind catches up."""
        for _ in range(MESSAGES_AT_ONCE):
            if not self._run(self._take_subscription, subscription):
                return

    def _run(self, take: Callable[[Any], Any], entity: Any) -> bool:
        """Take what is there for an entity and call back; tells whether there was anything."""
        call = take(entity)
        if call is None:
            return False
        running = call()
        try:
            running.send(None)
        except StopIteration:
            return True
        self.create_task(running)
        return True

    def _go_on_with_tasks(self) -> None:
        """Run what other threads ask for, and callbacks that wait for something themselves.

        Whoever adds a task, or has what one waits for, wakes this executor.
        """
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


def _pointer(entity: Any) -> int | None:
    """Address of an entity; None once a callback before it has destroyed it."""
    try:
        pointer: int = entity.handle.pointer
    except InvalidHandle:
        return None
    return pointer
