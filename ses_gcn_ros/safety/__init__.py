"""Separation of people and robot: distances, protective distance, and the decision on speed."""

from ses_gcn_ros.safety.assessment import Assessment, EventLog
from ses_gcn_ros.safety.config import DemoRobotConfig, SafetyConfig
from ses_gcn_ros.safety.decision import Decision, Level, Limit, Verdict
from ses_gcn_ros.safety.geometry import CapsuleDistances, capsule_distances
from ses_gcn_ros.safety.kernels import compile_all
from ses_gcn_ros.safety.monitor import SeparationMonitor
from ses_gcn_ros.safety.people import LimbCapsules, limb_capsules
from ses_gcn_ros.safety.robot_model import RobotModel, Robots, Urdf, read_robots
from ses_gcn_ros.safety.robot_motion import RobotState, RobotTracker, SweepMotion
from ses_gcn_ros.safety.separation import (
    Pair,
    StoppingTable,
    allowed_speed,
    braking,
    protective_distance,
)
from ses_gcn_ros.safety.watchdogs import ClockMonitor

__all__ = [
    "Assessment",
    "CapsuleDistances",
    "ClockMonitor",
    "Decision",
    "DemoRobotConfig",
    "EventLog",
    "Level",
    "LimbCapsules",
    "Limit",
    "Pair",
    "RobotModel",
    "RobotState",
    "RobotTracker",
    "Robots",
    "SafetyConfig",
    "SeparationMonitor",
    "StoppingTable",
    "SweepMotion",
    "Urdf",
    "Verdict",
    "allowed_speed",
    "braking",
    "capsule_distances",
    "compile_all",
    "limb_capsules",
    "protective_distance",
    "read_robots",
]
