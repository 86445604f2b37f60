"""What all nodes share: lifecycle, parameters, diagnostics, bad messages, a clean end."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import gc
import itertools
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from ses_gcn_ros.bringup import chosen_domain
from ses_gcn_ros.config import allowed, build, describe, read_parameter_file, tuple_item_type
from ses_gcn_ros.errors import ConfigError, SesGcnError
from ses_gcn_ros.nodes import process


class StreamStatistics:
    """Keep the recent latencies of a stream and count what went wrong with it.

    `window`: how many of the latest messages the rate and the latencies are taken from.
    """

    def __init__(self, window: int = 512) -> None:
        self._latencies: deque[float] = deque(maxlen=window)  # s
        self._times: deque[float] = deque(maxlen=window)  # s, steady clock
        self.handled = 0
        self.problems: Counter[str] = Counter()
        self.last = ""  # what was said of the last of them

    def handle(self, time: float, latency: float) -> None:
        """Note a message dealt with at `time` (steady clock, s), `latency` s after arrival."""
        self._times.append(time)
        self._latencies.append(latency)
        self.handled += 1

    def fail(self, problem: str, said: str) -> None:
        """Count a problem under its name, and keep the sentence that tells it."""
        self.problems[problem] += 1
        self.last = said

    def rate(self, now: float, window: float = 2.0) -> float:
        """Messages per second over the last `window` seconds before `now` (steady clock, s)."""
        return sum(1 for time in self._times if now - time <= window) / window

    def latency(self, quantile: float) -> float:
        """Quantile (0 to 1) of the recent latencies [s]; NaN before the first message."""
        if not self._latencies:
            return float("nan")
        return float(np.quantile(np.asarray(self._latencies), quantile))


_SIGNAL_CHECK = 0.1  # s between looks whether a signal came, where nothing else happens

T = TypeVar("T")


class ManagedNode(LifecycleNode):
    """A lifecycle node whose parameters are the fields of a configuration dataclass.

    A node names its `config_type`, overrides `configure` and `activate`, and `deactivate` and
    `release` where it has something to close. What it opens through `while_active` is closed on
    deactivation.

    Attributes:
    - `config_type`: frozen dataclass of options; one of them is ``autostart``.
    - `config`: what is in force.
    """

    config_type: type[Any]

    def __init__(self) -> None:
        super().__init__(self.executable())
        self._open: list[Callable[[], Any]] = []
        self._active = self._loaded = self._bringing_up = self._finalized = False
        self._failure: SesGcnError | None = None
        self.exit_code: int | None = None
        self.statistics = StreamStatistics()
        try:
            declare(self, self.config_type, lambda: self.config if self._active else None)
            self.config: Any = read(self, self.config_type)
        except SesGcnError:
            self.destroy_node()
            raise
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Of each node its own: EventsExecutor complains where a clock has eight timers.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=self._steady)

    @classmethod
    def executable(cls) -> str:
        """Name of the node and of its program: ``safety_node`` for a ``SafetyNode``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

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
        """Level, message and values for /diagnostics while active, besides rate and problems."""
        return DiagnosticStatus.OK, "running", {}

    # What a node uses -----------------------------------------------------------------------

    def now(self) -> float:
        """ROS time in seconds."""
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def while_active(self, entity: Any) -> Any:
        """Close a subscription, publisher or timer when the node is deactivated."""
        kind = type(entity).__name__.lower()
        for word in ("subscription", "publisher", "timer", "service"):
            if word in kind:
                self.when_inactive(partial(getattr(self, f"destroy_{word}"), entity))
                return entity
        raise TypeError(f"don't know how to close a {kind}")

    def publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        """Publisher that is there while the node is active."""
        return self.while_active(self.create_publisher(kind, topic, profile))

    def subscription(
        self, kind: Any, topic: str, handler: Callable[[Any], object], profile: Any, **options: Any
    ) -> Any:
        """Subscription while the node is active, whose `handler` may meet bad messages."""

        def handle(message: Any) -> None:  # of one argument; rclpy would fill a second one
            self.attempt(handler, message)

        return self.while_active(self.create_subscription(kind, topic, handle, profile, **options))

    def drain(self, subscription: Any, handler: Callable[[Any], object]) -> None:
        """Let `handler` have what waits in a queue, in order, and survive bad messages.

        No more than the queue holds: whoever publishes faster than that doesn't hold the node up.
        rclpy takes one message for each callback; answering each of a queue is a third of a second
        late on a machine with too much to do, the newest of them a twentieth (docs/mechanisms.md).
        """
        for _ in range(subscription.qos_profile.depth):
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                return
            self.attempt(handler, taken[0])

    def every(self, period: float, callback: Callable[[], None]) -> Any:
        """Timer of a period [s] of real time, while the node is active.

        One that fell behind catches up by one call: EventsExecutor asks for all that were due, and
        a node on a machine with too much to do would never be done with them.
        """
        ended = float("-inf")

        def call() -> None:
            nonlocal ended
            if time.monotonic() - ended > 0.5 * period:
                callback()
                ended = time.monotonic()

        return self.while_active(self.create_timer(period, call, clock=self._steady))

    def when_inactive(self, close: Callable[[], Any]) -> None:
        """Call `close` when the node is deactivated, or does not become active after all."""
        self._open.append(close)

    def when_clock_jumps(self, forget: Callable[[], object]) -> None:
        """Call `forget` when the clock goes back or becomes another, while the node is active."""
        jumps = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=lambda _: forget(),
        )
        self.when_inactive(jumps.unregister)

    def attempt(
        self, handler: Callable[[Any], object], message: Any, arrived: float | None = None
    ) -> None:
        """Let `handler` have a message, and survive a bad one.

        `arrived`: when it came [s, monotonic]; now by default. The latency counts from then.
        """
        if not self._active:  # what was queued when it was deactivated
            return
        arrived = time.monotonic() if arrived is None else arrived
        try:
            handler(message)
        except SesGcnError as error:
            self.statistics.fail(type(error).__name__, str(error))
            self.get_logger().warning(str(error), throttle_duration_sec=2.0)
        except Exception as error:  # a fault of ours must not take the cell's monitor down
            self.statistics.fail(f"internal {type(error).__name__}", repr(error))
            self.get_logger().error(f"internal error: {error!r}", throttle_duration_sec=2.0)
        else:
            ended = time.monotonic()
            self.statistics.handle(ended, ended - arrived)

    def finish(self, code: int = 0) -> None:
        """End the process in an orderly way once the current callback returns."""
        self.exit_code = code

    # Lifecycle ------------------------------------------------------------------------------
    #
    # Parameters hold from when the node is configured or activated next.
    # A transition that fails says one sentence and leaves the node in the state it was in. One that
    # closes something closes all of it, whatever goes wrong on the way.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters anew and load."""
        try:
            self._configure_anew()
        except Exception as error:
            return self._fail("configure", error)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the streams; load anew first where parameters have changed since."""
        try:
            self._configure_anew()
            self.activate()
        except Exception as error:
            self._close_streams()
            return self._fail("activate", error)
        self._active = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the streams."""
        self._active = False
        self._close("deactivate", self.deactivate)
        self._close_streams()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release what was loaded."""
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close and release from whatever state."""
        if self._active:
            self.on_deactivate(state)
        self._finalized = True
        return self.on_cleanup(state)

    def bring_up(self) -> None:
        """Configure and activate; raises the SesGcnError that stopped it."""
        self._bringing_up = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise self._failure or ConfigError(f"{self.get_name()} doesn't start")
        self._bringing_up = False

    def close(self) -> None:
        """Shut down from whatever state, and leave the middleware."""
        if not self._finalized:
            self.trigger_shutdown()
        self.destroy_node()

    def _configure_anew(self) -> None:
        """Configure by the present parameters, unless that is done."""
        config = read(self, self.config_type)
        if self._loaded and config == self.config:
            return
        self._unload()
        self.config = config
        self.configure()
        self._loaded = True

    def _unload(self) -> None:
        if self._loaded:
            self._loaded = False
            self._close("release", self.release)

    def _fail(self, transition: str, error: Exception) -> TransitionCallbackReturn:
        if not isinstance(error, SesGcnError):
            error = ConfigError(f"{self.get_name()} can't {transition}: internal {error!r}")
        self._failure = error
        if not self._bringing_up:  # else whoever brings the node up says it
            self.get_logger().error(str(error))
        return TransitionCallbackReturn.FAILURE

    def _close(self, name: str, close: Callable[[], Any]) -> None:
        try:
            close()
        except Exception as error:
            self.statistics.fail(f"internal {type(error).__name__}", repr(error))
            self.get_logger().error(f"{name}: internal error: {error!r}")

    def _close_streams(self) -> None:
        while self._open:
            self._close("deactivate", self._open.pop())

    def _publish_diagnostics(self) -> None:
        level, text, values = self._diagnosis()
        measured = {
            "rate_hz": f"{self.statistics.rate(time.monotonic()):.1f}",
            "latency_median_ms": f"{self.statistics.latency(0.5) * 1e3:.3f}",
            "latency_p99_ms": f"{self.statistics.latency(0.99) * 1e3:.3f}",
            "handled": str(self.statistics.handled),
        }
        measured |= {f"problem {name}": str(n) for name, n in self.statistics.problems.items()}
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

    def _diagnosis(self) -> tuple[bytes, str, Mapping[str, object]]:
        if not self._active:
            return DiagnosticStatus.WARN, "not active", {}
        try:
            return self.diagnose()
        except Exception as error:
            self.statistics.fail(f"internal {type(error).__name__}", repr(error))
            return DiagnosticStatus.ERROR, f"internal error: {error!r}", {}


def run(*node_types: type[ManagedNode], args: list[str] | None = None) -> NoReturn:
    """Run nodes in this process until a signal comes or one finishes, and end the process.

    The exit code is 0, or 1 with a sentence on the standard error output where a node can't start.

    `*node_types`: classes of the nodes.
    `args`: command line with ``--ros-args``; that of the process by default.
    """
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        with contextlib.suppress(BrokenPipeError):  # of `| head`
            print("\n\n".join(_help(node_type) for node_type in node_types), flush=True)
        process.leave(0)
    signalled = process.prepare()
    code = 0
    nodes: list[ManagedNode] = []
    try:
        executor = _start_middleware(args)
        process.orderly_from_now_on()
        for node_type in node_types:
            nodes.append(node_type())
            executor.add_node(nodes[-1])
        for node in nodes:
            if node.config.autostart and not signalled.is_set():
                node.bring_up()
        # What was loaded stays. To look through all of it for garbage takes the safety node 0.3 s,
        # measured; to look through what came since, nothing.
        gc.collect()
        gc.freeze()
        while not signalled.is_set() and all(node.exit_code is None for node in nodes):
            _spin_once(executor, nodes)
        code = max((node.exit_code or 0 for node in nodes), default=0)
    except ExternalShutdownException:  # somebody else shut the context down
        pass
    except SesGcnError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    for node in nodes:
        node.close()
    rclpy.try_shutdown()
    process.leave(code)


def _spin_once(executor: Executor, nodes: list[ManagedNode]) -> None:
    """Do one thing; what goes wrong in it is counted and said, and ends no node."""
    try:
        executor.spin_once(timeout_sec=_SIGNAL_CHECK)
    except ExternalShutdownException:
        raise
    except InvalidHandle:
        pass  # EventsExecutor had something ready for an entity that was closed meanwhile
    except Exception as error:  # of a callback, or of rclpy over bytes that are no message
        for node in nodes:
            node.statistics.fail(f"internal {type(error).__name__}", repr(error))
        nodes[0].get_logger().error(f"internal error: {error!r}", throttle_duration_sec=2.0)


def _help(node_type: type[ManagedNode]) -> str:
    name = node_type.executable()
    lines = []
    for row in describe(node_type.config_type):
        limits = f" ({allowed(row)})" if allowed(row) else ""
        lines.append(f"  {row['name']}: {row['default']!r}\n      {row['description']}{limits}")
    parameters = "\n".join(lines)
    return (
        f"usage: ros2 run ses_gcn_ros {name} [--ros-args -p NAME:=VALUE … --params-file FILE]\n\n"
        f"{node_type.__doc__}\n\nParameters and their defaults:\n{parameters}"
    )


def make_executor() -> Executor:
    """rclpy's executor for one thread: driven by events, where the distribution has that one.

    SingleThreadedExecutor, which it falls back to, takes 2.5 times the processor time.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _start_middleware(args: list[str] | None) -> Executor:
    chosen_domain()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        return make_executor()
    except RuntimeError as error:  # RCLError: an unreadable parameter file, a malformed argument
        reason = str(error).split(", at /")[0].replace("\n", " ")
        raise ConfigError(f"ROS 2 does not start: {reason}") from error


# Parameters: names, types, ranges and help of a configuration dataclass --------------------------


def declare(node: Node, config_type: type[T], fixed: Callable[[], T | None]) -> None:
    """Declare a parameter for every field of a configuration dataclass.

    Typing is dynamic, since rclpy's own takes neither 50 for 50.0 nor a list without items; each
    value is checked against the dataclass instead. `fixed` gives the configuration that is in force
    and can't change now, None while it can. Raises ConfigError if parameter file or command line
    gives a wrong type, a value out of range or a name that the node does not know.
    """
    fields = {field.name: field for field in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    for field in fields.values():
        default = list(field.default) or None if type(field.default) is tuple else field.default
        descriptor = ParameterDescriptor(dynamic_typing=True)
        node.declare_parameter(field.name, default, descriptor)
    # rclpy drops what nobody declares without a word, and a misspelt limit would go unnoticed.
    # Which names it was given it tells by no public way.
    given = getattr(node, "_parameter_overrides", {})
    shared, strange = _read_files(node.get_fully_qualified_name())
    for sentence in strange:
        node.get_logger().warning(sentence)
    unknown = [
        name
        for name in sorted(given)
        if not (node.has_parameter(name) or name in shared or name.startswith("qos_overrides."))
    ]
    if unknown:
        raise ConfigError(
            f"{node.get_name()} has no parameter '{unknown[0]}'; `ses-gcn params` lists what it has"
        )
    try:
        config = read(node, config_type)
    except ConfigError as error:
        raise ConfigError(f"{node.get_name()}: {error}") from None
    for name, field in fields.items():
        value = getattr(config, name)
        value = list(value) if isinstance(value, tuple) else value
        node.set_parameters([Parameter(name, _type_of(field), value)])
        node.set_descriptor(name, _descriptor(field))

    def check(parameters: list[Parameter[Any]]) -> SetParametersResult:
        now = fixed()
        for parameter in parameters:
            name = parameter.name
            if name not in fields:
                continue
            if parameter.type_ == Parameter.Type.NOT_SET:  # with which rclpy undeclares it
                reason = f"'{name}' can't be deleted; set it to its default by `ses-gcn params`"
                return SetParametersResult(successful=False, reason=reason)
            try:
                wanted = getattr(build(config_type, {name: _value(parameter, fields[name])}), name)
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if now is not None and wanted != getattr(now, name):
                reason = f"'{name}' doesn't change while the node is active; deactivate first"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def read(node: Node, config_type: type[T]) -> T:
    """Current parameter values as a checked configuration; raises a ConfigError."""
    fields = dataclasses.fields(config_type)  # type: ignore[arg-type]
    return build(config_type, {f.name: _value(node.get_parameter(f.name), f) for f in fields})


def _read_files(node: str) -> tuple[set[str], list[str]]:
    """Look through the process's parameter files, which rclpy has read before.

    Gives the parameters of sections for all nodes (``/**``), of which a node takes what it has, and
    sentences on sections that are named like this node, but not as it is.
    """
    shared, strange = set[str](), []
    for option, path in itertools.pairwise(sys.argv):
        if option != "--params-file":
            continue
        for section, parameters in read_parameter_file(path):
            form = re.escape(section).replace(r"/\*\*/", "(/.*)?/")  # any namespaces, or none
            form = form.replace(r"\*\*", ".*").replace(r"\*", "[^/]+")
            if re.fullmatch(f"/?{form}", node):
                shared |= set(parameters) if section in ("/**", "**", "/*", "*") else set()
                continue
            name, given = (each.rsplit("/", 1)[-1] for each in (node, section))
            if difflib.get_close_matches(given, [name], cutoff=0.8):
                strange.append(f"section '{section}' of {path} is not for '{node}' and not taken")
    return shared, strange


def _value(parameter: Parameter[Any], field: dataclasses.Field[Any]) -> Any:
    value = parameter.value
    if value is None and isinstance(field.default, tuple):
        return ()  # YAML has no type for an empty list
    # Arrays of numbers come back as array.array.
    return list(value) if hasattr(value, "tolist") else value


def _type_of(field: dataclasses.Field[Any]) -> Parameter.Type:
    example = field.default
    if isinstance(example, tuple):  # which may be empty
        example = [tuple_item_type(field)()]
    return Parameter.Type.from_parameter_value(example)


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    choices = field.metadata["choices"]
    descriptor = ParameterDescriptor(description=field.metadata["description"], dynamic_typing=True)
    if choices:
        descriptor.additional_constraints = f"one of {', '.join(choices)}"
    if (minimum is None and maximum is None) or isinstance(field.default, tuple):
        return descriptor
    if isinstance(field.default, float):
        low = -1.7e308 if minimum is None else float(minimum)
        high = 1.7e308 if maximum is None else float(maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        low_int = -(2**63) if minimum is None else int(minimum)
        high_int = 2**63 - 1 if maximum is None else int(maximum)
        descriptor.integer_range = [IntegerRange(from_value=low_int, to_value=high_int)]
    return descriptor
