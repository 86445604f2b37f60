"""skeletons → forecasts: one forward pass for all people, constant velocity as the fallback."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from ses_gcn_ros.actions.weights import UNKNOWN
from ses_gcn_ros.errors import InputError, SesGcnError
from ses_gcn_ros.forecast import AdaptiveRadius, Engine, ForecastConfig, Forecaster, load
from ses_gcn_ros.forecast.adaptive import RadiusStore
from ses_gcn_ros.forecast.forecaster import FAR_OFF
from ses_gcn_ros.msg import ActionArray, ForecastArray, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import forecasts_to_msg, skeletons_from_message, to_seconds
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.nodes.markers import MarkerBoard, forecast_markers, skeleton_markers
from ses_gcn_ros.resources import state_folder

_SILENCE = 1.0  # s without skeletons after which it is diagnosed


class ForecasterNode(ManagedNode):
    """Forecast everybody in `skeletons` and publish `forecasts`."""

    config_type = ForecastConfig
    config: ForecastConfig

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine | None = None
        self.forecaster: Forecaster | None = None
        self.adaptive: AdaptiveRadius | None = None
        self.actions: dict[str, str] = {}  # label by person_id

    def configure(self) -> None:
        """Load the weights and build the engine."""
        self._use(self._load(), self.config)

    def _load(self) -> Engine:
        config = self.config
        return load(config.weights or None, config.engine, config.device, threads=config.threads)

    def _use(self, engine: Engine, config: ForecastConfig) -> None:
        """Forecast by an engine from now on."""
        self.engine, self.forecaster, self.adaptive, self.frame_id = engine, None, None, ""
        self.get_logger().info(
            f"{engine.name}: {engine.observed} frames in, {engine.horizon} out at {engine.fps:g} Hz"
        )
        if config.adaptive and engine.radius is not None:
            self.adaptive = AdaptiveRadius(engine.radius, engine.coverage, config)
            self.store = RadiusStore(self.adaptive, self._state_file())
            if self.store.problem:
                self.get_logger().warning(self.store.problem)

    def on_reload(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Take the weights file as it is now; keep what there is if it can't be used."""
        try:
            engine = self._load()
        except SesGcnError as error:
            assert self.engine is not None  # the service is there while active
            response.success = False
            response.message = f"'{self.engine.name}' goes on: {error}"
            return response
        if self.adaptive is not None:
            self.store.close()
        self._use(engine, self.config)
        response.success, response.message = True, f"forecasting by '{engine.name}'"
        return response

    def _state_file(self) -> Path | None:
        chosen = self.config.adaptive_state
        if chosen == "none":
            return None
        name = self.get_fully_qualified_name().strip("/").replace("/", ".")
        return Path(chosen).expanduser() if chosen else state_folder() / f"{name}.npz"

    def activate(self) -> None:
        """Subscribe and publish."""
        profile = qos.stream(self.config.reliability)
        self.received = time.monotonic()
        self.boards = MarkerBoard(), MarkerBoard()
        self.forecasts = self.publisher(ForecastArray, "forecasts", qos.STREAM)
        self.markers = tuple(
            self.publisher(MarkerArray, f"markers/{topic}", qos.MARKERS)
            for topic in ("skeletons", "forecasts")
        )
        self.while_active(self.create_service(Trigger, "~/reload", self.on_reload))
        self.subscription(SkeletonArray, "skeletons", self.on_skeletons, profile)
        self.actions, self.actions_at = {}, -math.inf
        if self.adaptive is not None and self.config.adaptive_actions:
            self.subscription(ActionArray, "actions", self.on_actions, qos.STREAM)

    def release(self) -> None:
        """Keep what was learnt and give the weights' memory back."""
        if self.adaptive is not None:
            self.store.close()
        self.engine = self.forecaster = self.adaptive = None

    def on_actions(self, message: ActionArray) -> None:
        """Remember what people do."""
        self.actions = {a.person_id: a.label for a in message.actions if a.label != UNKNOWN}
        self.actions_at = time.monotonic()

    def on_skeletons(self, message: SkeletonArray) -> None:
        """Forecast from one more observation of everybody."""
        self.received = time.monotonic()
        people, stamp = skeletons_from_message(message), message.header.stamp
        frame_id = message.header.frame_id
        if not frame_id:
            raise InputError("skeletons came without a frame_id; set it to a frame with z up")
        assert self.engine is not None  # messages come after configuring
        if self.forecaster is None or frame_id != self.frame_id:
            # Histories in another frame would look like a jump of everybody.
            score = None if self.forecaster is None else self.forecaster.score
            self.forecaster = Forecaster(self.engine, self.config, self.adaptive, score)
            self.frame_id = frame_id
        known = self.received - self.actions_at < _SILENCE
        self.forecaster.doing = self.actions if known else {}
        self.forecaster.observe(to_seconds(stamp), people)
        forecasts = self.forecaster.forecast()
        self.forecasts.publish(forecasts_to_msg(stamp, frame_id, forecasts))
        drawings = (lambda: skeleton_markers(people), lambda: forecast_markers(forecasts))
        for publisher, board, draw in zip(self.markers, self.boards, drawings, strict=True):
            if publisher.get_subscription_count():
                publisher.publish(board.show(message.header, draw()))
        self.forecaster.learn()
        if self.adaptive is not None:
            self.store.keep()

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """People, forecasts, fallbacks, and how well the radius has held lately."""
        assert self.engine is not None
        if self.forecaster is None:
            return DiagnosticStatus.WARN, "no skeletons yet", {"engine": self.engine.name}
        counts, score, radii = self.forecaster.counts, self.forecaster.score, self.forecaster.radii
        values = {
            "people": counts.people,
            "forecasts": counts.forecasts,
            "engine": self.engine.name,
            **{f"fallback {reason}": n for reason, n in counts.fallbacks.items()},
            **(self.adaptive.report() if self.adaptive is not None else {}),
            **(radii.report() if radii is not None else {}),
            **(score.report() if score is not None else {}),
        }
        silent = time.monotonic() - self.received
        if silent > _SILENCE:
            return DiagnosticStatus.ERROR, f"no skeletons for {silent:.1f} s", values
        if self.statistics.problems:
            text = f"some messages could not be used: {self.statistics.last}"
            return DiagnosticStatus.WARN, text, values
        concern = score.warning() if score is not None else ""
        if counts.fallbacks[FAR_OFF]:
            concern = f"{FAR_OFF}: were the weights made for these coordinates?"
        if self.adaptive is not None:
            concern = concern or self.adaptive.warning() or self.store.problem
        if concern:
            return DiagnosticStatus.WARN, concern, values
        return DiagnosticStatus.OK, "forecasting", values
