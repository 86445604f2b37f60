"""Monitoring can be switched off only slowly, for a while, and never silently."""

from __future__ import annotations

import pytest
from safety_scenes import settled

from ses_gcn_ros.safety import Level

ALLOWED = {"disabled_factor": 0.3, "disable_timeout": 2.0}


def test_it_is_refused_unless_a_parameter_allows_it():
    scene = settled(0.1)
    done, why = scene.monitor.enable(False, scene.now)
    assert not done
    assert "disabled_factor is 0" in why
    assert scene.tick().level is Level.STOP


def test_off_means_slow_whatever_is_wrong_and_the_state_says_so():
    scene = settled(0.1, **ALLOWED)
    done, why = scene.monitor.enable(False, scene.now)
    assert done
    assert "monitoring is off for 2.0 s, at speed factor 0.30" in why
    off = scene.run(1.0)
    assert off.level is Level.REDUCED
    assert off.speed_factor == pytest.approx(0.3)
    assert off.reasons[0] == "monitoring disabled by ~/enable for 1.0 s more"
    assert "protective distance" in off.reasons[1]
    assert not off.enabled


def test_off_is_not_clear_where_nobody_is():
    scene = settled(None, disabled_factor=1.0, disable_timeout=2.0)
    scene.monitor.enable(False, scene.now)
    assert scene.tick().level is Level.REDUCED


def test_the_factor_rises_no_faster_than_its_rate():
    scene = settled(0.1, disabled_factor=1.0, disable_timeout=2.0, recovery_rate=0.5)
    scene.monitor.enable(False, scene.now)
    assert scene.run(0.5).speed_factor == pytest.approx(0.25, abs=0.02)


def test_it_ends_by_itself():
    scene = settled(0.1, **ALLOWED)
    scene.monitor.enable(False, scene.now)
    assert not scene.run(1.9).enabled
    after = scene.run(0.2)
    assert after.enabled
    assert after.level is Level.STOP


@pytest.mark.parametrize(("switched_on", "back"), [(True, 0.0), (False, 50.0)])
def test_it_ends_when_it_is_switched_on_or_the_clock_goes_back(switched_on, back):
    scene = settled(0.1, **ALLOWED)
    scene.monitor.enable(False, scene.now)
    assert not scene.tick().enabled
    if switched_on:
        scene.monitor.enable(True, scene.now)
    after = scene.monitor.assess(scene.now - back)
    assert after.enabled
    assert after.level is Level.STOP
