"""A ROS domain that nobody else on this machine uses, so that a demo neither disturbs nor is."""

from __future__ import annotations

import os
import socket

from ses_gcn_ros.errors import ConfigError

# DDS-RTPS 9.6.1: ports of a domain start at 7400 + 250 d; participant p takes unicast 10 + 2 p.
_PORT_BASE, _PORT_GAIN, _UNICAST_OFFSET, _PARTICIPANT_GAIN = 7400, 250, 10, 2
_PROBED_PARTICIPANTS = 8
_CANDIDATES = range(60, 100)  # 0–101 keep clear of the ephemeral ports of Linux
_HIGHEST_DOMAIN = 232


def demo_environment() -> dict[str, str]:
    """Environment for a run of its own: a free domain, discovery on this machine alone.

    Raises
    ------
    ConfigError
        If ROS_DOMAIN_ID is set to a domain that is in use, or that doesn't exist.
    """
    wanted = os.environ.get("ROS_DOMAIN_ID")
    if wanted is None:
        domain = next((d for d in _CANDIDATES if not _in_use(d)), None)
        if domain is None:
            raise ConfigError(
                f"ROS domains {_CANDIDATES[0]} to {_CANDIDATES[-1]} are all in use; "
                "set ROS_DOMAIN_ID to a free one"
            )
    else:
        if not wanted.isdigit() or int(wanted) > _HIGHEST_DOMAIN:
            raise ConfigError(f"ROS_DOMAIN_ID is '{wanted}'; it takes 0 to {_HIGHEST_DOMAIN}")
        domain = int(wanted)
        if _in_use(domain):
            raise ConfigError(
                f"ROS domain {domain} is in use on this machine (UDP port {_port(domain, 0)} and "
                "following); end what uses it, or set ROS_DOMAIN_ID to a free one or unset it"
            )
    return {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def _port(domain: int, participant: int) -> int:
    return _PORT_BASE + _PORT_GAIN * domain + _UNICAST_OFFSET + _PARTICIPANT_GAIN * participant


def _in_use(domain: int) -> bool:
    for participant in range(_PROBED_PARTICIPANTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", _port(domain, participant)))
            except OSError:
                return True
    return False
