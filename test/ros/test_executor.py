"""The nodes' executor does what rclpy's own does."""

from __future__ import annotations

import gc
import threading
import time

import pytest
import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.task import Future
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from ses_gcn_ros.nodes.executor import DirectExecutor


@pytest.fixture
def executor(node):
    executor = DirectExecutor()
    executor.add_node(node)
    yield executor
    executor.shutdown()
    gc.enable()
    gc.unfreeze()


def spin_until(executor, condition, turns: int = 200) -> None:
    for _ in range(turns):
        if condition():
            return
        executor.spin_once(0.1)
    pytest.fail("the condition never came true")


def test_a_node_that_fell_behind_catches_up_in_one_turn(node, executor):
    heard = []
    node.create_subscription(Float64, "values", lambda m: heard.append(m.data), 10)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: publisher.get_subscription_count())
    for value in range(5):
        publisher.publish(Float64(data=float(value)))
    spin_until(executor, lambda: heard)
    spin_until(executor, lambda: len(heard) == 5, turns=3)
    assert heard == [0, 1, 2, 3, 4]


def test_timers_guards_and_services_are_served(node, executor):
    called = []
    guard = node.create_guard_condition(lambda: called.append("guard"))
    node.create_timer(0.01, lambda: called.append("timer"))
    node.create_service(Trigger, "ask", lambda request, response: Trigger.Response(success=True))
    client = node.create_client(Trigger, "ask")
    guard.trigger()
    spin_until(executor, lambda: {"guard", "timer"} <= set(called) and client.service_is_ready())
    answer = client.call_async(Trigger.Request())
    spin_until(executor, answer.done)
    assert answer.result().success


def test_a_callback_may_destroy_what_is_ready_too(node, executor):
    heard = []

    def first(message) -> None:
        heard.append("first")
        node.destroy_subscription(second)

    node.create_subscription(Float64, "values", first, 10)
    second = node.create_subscription(Float64, "values", lambda m: heard.append("second"), 10)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: publisher.get_subscription_count() == 2)
    publisher.publish(Float64())
    spin_until(executor, lambda: "first" in heard)
    publisher.publish(Float64())
    spin_until(executor, lambda: heard.count("first") == 2)


def test_a_callback_may_destroy_timers_and_guards_that_are_ready_too(node, executor):
    called = []

    def first() -> None:
        called.append("first")
        node.destroy_guard_condition(second)
        node.destroy_timer(timer)

    guard = node.create_guard_condition(first)
    second = node.create_guard_condition(lambda: called.append("second"))
    timer = node.create_timer(0.01, lambda: called.append("timer"))
    time.sleep(0.02)
    guard.trigger()
    second.trigger()
    spin_until(executor, lambda: called)
    for _ in range(5):
        executor.spin_once(0.01)
    assert called == ["first"]


def test_a_timer_that_a_message_resets_waits_for_its_period(node, executor):
    called = []

    def on_message(_: Float64) -> None:
        called.append("message")
        timer.reset()

    node.create_subscription(Float64, "values", on_message, 10)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: publisher.get_subscription_count())
    executor.spin_once(0.0)
    timer = node.create_timer(0.3, lambda: called.append("timer"))
    executor.spin_once(0.0)
    time.sleep(0.2)
    publisher.publish(Float64())
    time.sleep(0.15)  # both are ready now
    spin_until(executor, lambda: called)
    assert called == ["message"]
    spin_until(executor, lambda: len(called) == 2)
    assert called == ["message", "timer"]


def test_what_is_due_at_the_end_of_a_turn_is_done_once(node, executor):
    called = []

    def on_message(message: Float64) -> None:
        called.append(message.data)
        executor.at_end_of_turn(end)

    def end() -> None:
        called.append("end")

    node.create_subscription(Float64, "values", on_message, 10)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: publisher.get_subscription_count())
    for value in (1.0, 2.0, 3.0):
        publisher.publish(Float64(data=value))
    time.sleep(0.1)
    spin_until(executor, lambda: called)
    assert called == [1.0, 2.0, 3.0, "end"]


def test_entities_made_in_a_callback_are_served(node, executor):
    heard = []

    def make() -> None:
        made.cancel()
        node.create_subscription(Float64, "values", lambda m: heard.append(m.data), 10)

    made = node.create_timer(0.01, make)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: publisher.get_subscription_count())
    publisher.publish(Float64(data=3.0))
    spin_until(executor, lambda: heard == [3.0])


def test_nodes_come_and_go(node, executor):
    called = []
    other = rclpy.create_node("other")
    other.create_timer(0.01, lambda: called.append(1))
    executor.add_node(other)
    spin_until(executor, lambda: called)
    executor.remove_node(other)
    called.clear()
    for _ in range(5):
        executor.spin_once(0.01)
    assert not called
    other.destroy_node()


def test_messages_come_with_where_they_came_from(node, executor):
    heard = []

    async def waiting(message: Float64) -> None:
        heard.append("waiting")

    node.create_subscription(Float64, "values", lambda m, info: heard.append(info), 10)
    node.create_subscription(Float64, "values", waiting, 10)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: publisher.get_subscription_count() == 2)
    publisher.publish(Float64())
    spin_until(executor, lambda: len(heard) == 2)
    assert "waiting" in heard
    assert any(info != "waiting" and info["received_timestamp"] > 0 for info in heard)


def test_a_publisher_that_goes_is_told_within_a_moment(node, executor):
    matched = []
    events = SubscriptionEventCallbacks(matched=lambda info: matched.append(info.current_count))
    node.create_subscription(Float64, "values", lambda m: None, 10, event_callbacks=events)
    publisher = node.create_publisher(Float64, "values", 10)
    spin_until(executor, lambda: matched)
    node.destroy_publisher(publisher)
    spin_until(executor, lambda: matched[-1] == 0)


def test_a_callback_that_waits_goes_on_when_it_can(node, executor):
    waited = Future(executor=executor)
    passed = []

    async def wait() -> None:
        passed.append(await waited)

    timer = node.create_timer(0.01, wait)
    spin_until(executor, lambda: executor._tasks)
    timer.cancel()
    waited.set_result("here")
    spin_until(executor, lambda: passed)
    assert passed[0] == "here"


def test_tasks_of_other_threads_are_all_run_at_once(executor):
    done = []
    for _ in range(3):
        executor.spin_once(0.0)

    def ask() -> None:
        for number in range(5):
            executor.create_task(done.append, number)

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    spin_until(executor, lambda: done, turns=5)
    executor.spin_once(0.0)
    assert done == [0, 1, 2, 3, 4]
    assert not executor._tasks


def test_it_can_be_woken_from_another_thread(executor):
    woken = threading.Event()

    def wake() -> None:
        woken.set()
        executor.wake()

    for _ in range(3):  # turns that only count the node's own events
        executor.spin_once(0.0)
    threading.Timer(0.1, wake).start()
    while not woken.is_set():
        executor.spin_once()
