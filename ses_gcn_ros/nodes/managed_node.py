"""What all nodes share: lifecycle, parameters, diagnostics, bad messages, a clean end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from ses_gcn_ros.errors import ConfigError, SesGcnError
from ses_gcn_ros.monitoring import StreamMonitor
from ses_gcn_ros.nodes import process
from ses_gcn_ros.nodes.executor import DirectExecutor
from ses_gcn_ros.nodes.parameters import declare, read

HIGHEST_DOMAIN = 232  # DDS-RTPS 9.6.1: beyond it the port numbers run out
STEADY = Clock(clock_type=ClockType.STEADY_TIME)


class ManagedNode(LifecycleNode):
    """A lifecycle node whose parameters are the fields of a configuration dataclass.

    A node overrides `configure` and `activate`, and `deactivate` and `release` where it has
    something to close. What it opens through `while_active` is closed on deactivation.

    Parameters
    ----------
    name : str
        Node name.
    config_type : type
        Frozen dataclass of options; one of them is ``autostart``.
    """

    def __init__(self, name: str, config_type: type[Any]) -> None:
        super().__init__(name)
        self._config_type = config_type
        self._open: list[tuple[Callable[[Any], Any], Any]] = []
        self._soon: dict[Callable[[], None], None] = {}  # a set that keeps its order
        self._bringing_up = False
        self.exit_code: int | None = None
        self.monitor = StreamMonitor()
        try:
            declare(self, config_type)
            self.config = read(self, config_type)
        except SesGcnError:
            self.destroy_node()
            raise
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics, clock=STEADY)

    # What a node fills in -------------------------------------------------------------------

    def configure(self) -> None:
        """Load what the node needs; raises SesGcnError when it can't."""

    def activate(self) -> None:
        """Open subscriptions, publishers and timers, each through `while_active`."""

    def deactivate(self) -> None:
        """Say a last word before what `activate` opened is closed."""

    def release(self) -> None:
        """Let go of what `configure` loaded."""

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Level, message and values for /diagnostics, besides rate, latency and problems."""
        return DiagnosticStatus.OK, "running", {}

    # What a node uses -----------------------------------------------------------------------

    def now(self) -> float:
        """ROS time in seconds."""
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def while_active(self, entity: Any) -> Any:
        """Close a subscription, publisher or timer when the node is deactivated."""
        kind = type(entity).__name__.lower()
        for word in ("subscription", "publisher", "timer", "service", "guard_condition"):
            if word.replace("_", "") in kind:
                self._open.append((getattr(self, f"destroy_{word}"), entity))
                return entity
        raise TypeError(f"don't know how to close a {kind}")

    def guarded(self, handler: Callable[[Any], None]) -> Callable[[Any, dict[str, int]], None]:
        """Callback around `handler` that times it and survives a bad message.

        The latency counts from the message's arrival in the middleware to the end of `handler`.
        """

        def callback(message: Any, info: dict[str, int]) -> None:
            started = time.monotonic()
            waited = max(0, time.time_ns() - info["received_timestamp"]) * 1e-9
            if self.attempt(handler, message):
                ended = time.monotonic()
                self.monitor.handle(ended, waited + ended - started)

        return callback

    def attempt(self, handler: Callable[[Any], None], message: Any) -> bool:
        """Let `handler` have a message, and survive a bad one; tells whether it was good."""
        try:
            handler(message)
        except SesGcnError as error:
            self.monitor.fail(type(error).__name__)
            self.get_logger().warning(str(error), throttle_duration_sec=2.0)
            return False
        except Exception as error:  # a fault of ours must not take the cell's watch down
            self.monitor.fail(f"internal {type(error).__name__}")
            self.get_logger().error(f"internal error: {error!r}", throttle_duration_sec=2.0)
            return False
        return True

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back once all messages that wait are dealt with, unless streams are closed first."""
        self._soon[callback] = None
        if isinstance(self.executor, DirectExecutor):
            self.executor.at_end_of_turn(self._do_soon)
        else:  # of somebody who runs our nodes among theirs
            self._do_soon()

    def _do_soon(self) -> None:
        due, self._soon = self._soon, {}
        for callback in due:
            callback()

    def finish(self, code: int = 0) -> None:
        """End the process in an orderly way once the current callback returns."""
        self.exit_code = code

    # Lifecycle ------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters anew and load."""
        try:
            self.config = read(self, self._config_type)
            self.configure()
        except SesGcnError as error:
            return self._fail(error)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the streams."""
        try:
            self.activate()
        except SesGcnError as error:
            self._close_streams()
            return self._fail(error)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the streams."""
        self.deactivate()
        self._close_streams()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release what was loaded."""
        self.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close and release from whatever state."""
        if self._open:
            self.deactivate()
            self._close_streams()
        self.release()
        return super().on_shutdown(state)

    def bring_up(self) -> None:
        """Configure and activate; raises the SesGcnError that stopped it."""
        self._bringing_up = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise self._failure
        self._bringing_up = False

    def _fail(self, error: SesGcnError) -> TransitionCallbackReturn:
        self._failure = error
        if not self._bringing_up:  # else whoever brings the node up says it
            self.get_logger().error(str(error))
        return TransitionCallbackReturn.FAILURE

    def _close_streams(self) -> None:
        self._soon.clear()
        while self._open:
            destroy, entity = self._open.pop()
            destroy(entity)

    def _publish_diagnostics(self) -> None:
        level, text, values = self.diagnose()
        measured = {
            "rate_hz": f"{self.monitor.rate(time.monotonic()):.1f}",
            "latency_median_ms": f"{self.monitor.latency(0.5) * 1e3:.3f}",
            "latency_p99_ms": f"{self.monitor.latency(0.99) * 1e3:.3f}",
            "handled": str(self.monitor.handled),
        }
        measured |= {f"problem {name}": str(n) for name, n in self.monitor.problems.items()}
        measured |= {key: str(value) for key, value in values.items()}
        status = DiagnosticStatus(
            level=level,
            name=self.get_fully_qualified_name().lstrip("/"),
            message=text,
            hardware_id="ses_gcn_ros",
            values=[KeyValue(key=key, value=value) for key, value in measured.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def run(make_nodes: Callable[[], list[ManagedNode]], args: list[str] | None = None) -> NoReturn:
    """Run nodes in this process until a signal comes or one finishes, and end the process.

    The exit code is 0, or 1 with a sentence on the standard error output where a node can't start.

    Parameters
    ----------
    make_nodes : callable
        Makes the nodes, once the middleware is up.
    args : list of str, optional
        Command line with ``--ros-args``; that of the process by default.
    """
    process.prepare()
    code = 0
    executor: Executor | None = None
    nodes: list[ManagedNode] = []
    try:
        executor = _start_middleware(args)
        signalled = process.when_signalled(executor.wake)
        nodes = make_nodes()
        for node in nodes:
            executor.add_node(node)
        for node in nodes:
            if node.config.autostart and not signalled.is_set():
                node.bring_up()
        while not signalled.is_set() and all(node.exit_code is None for node in nodes):
            executor.spin_once()
        code = max((node.exit_code or 0 for node in nodes), default=0)
    except SesGcnError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    finally:
        for node in nodes:
            node.trigger_shutdown()
            node.destroy_node()
        if executor is not None:
            executor.shutdown()
        rclpy.try_shutdown()
    process.leave(code)


def _start_middleware(args: list[str] | None) -> Executor:
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    if not domain.isdigit() or int(domain) > HIGHEST_DOMAIN:
        raise ConfigError(f"ROS_DOMAIN_ID is '{domain}'; it takes 0 to {HIGHEST_DOMAIN}")
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        return DirectExecutor()
    except RuntimeError as error:  # RCLError: an unreadable parameter file, a malformed argument
        reason = str(error).split(", at /")[0].replace("\n", " ")
        raise ConfigError(f"ROS 2 does not start: {reason}") from error
