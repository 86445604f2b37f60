"""What forecasts add: an earlier and stricter answer, never a milder one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_scenes import Scene, forecast_of, person, settled

from ses_gcn_ros.forecast.alarm import SHIPPED
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.safety.prediction import PredictedContact, PredictionResult, inflate, limit

limbs_unit = st.floats(-1, 1)


class TestPredictiveLayer:
    def test_a_forecast_meeting_stops_the_robot_before_the_person_is_near(self):
        """The person stands, but is forecast to dart at the robot."""
        config = SafetyConfig(  # the reactive layer alone would see no danger
            human_speed=0.0, arm_speed=0.0, accept_reduced_safety=True
        )
        scene = settled(1.2, config=config)
        calm = scene.tick()
        assert calm.predicted is None
        dart = forecast_of(person(1.2), scene.now, (-5.0, 0, 0))
        scene.monitor.observe_forecasts(scene.now, [dart])
        a = scene.monitor.assess(scene.now)
        assert a.time_to_breach < 0.3
        assert a.speed_factor < calm.speed_factor
        assert any("forecast: person p1" in r and "meets high in 0." in r for r in a.reasons)

    def test_time_to_breach_is_that_of_the_capsules(self):
        scene = settled(2.0)
        walker = forecast_of(person(2.0), scene.now, (-2.0, 0, 0), radius=0.1)
        scene.monitor.observe_forecasts(scene.now, [walker])
        a = scene.monitor.assess(scene.now)
        # surface to surface now, less the forecast's radius, at 2 m/s
        assert a.time_to_breach == pytest.approx((a.separation - 0.1) / 2.0, abs=0.02)

    def test_the_robot_is_carried_along_its_own_motion(self):
        standing, coming, going = settled(2.0), settled(2.0), settled(2.0)
        coming.robot_speed, going.robot_speed = 0.5, -0.5
        breach = []
        for scene in (standing, coming, going):
            scene.run(0.2)
            scene.robot_x = 0.0
            walker = forecast_of(person(2.0), scene.now, (-1.8, 0, 0))
            scene.monitor.observe_forecasts(scene.now, [walker])
            breach.append(scene.monitor.assess(scene.now).time_to_breach)
        assert breach[1] < breach[0] < breach[2]

    def test_a_meeting_beyond_the_horizon_is_none(self):
        scene = settled(2.0, prediction_horizon=0.2)
        scene.monitor.observe_forecasts(
            scene.now, [forecast_of(person(2.0), scene.now, (-2.0, 0, 0))]
        )
        assert scene.monitor.assess(scene.now).time_to_breach == np.inf

    def test_the_limit_lets_the_robot_come_to_rest_before_the_meeting(self):
        config = SafetyConfig(deceleration=2.0, robot_speed_max=1.0)
        capsule = np.zeros(3), np.ones(3), np.array(0.1)
        for meeting in np.linspace(0.0, 2.0, 41):
            predicted = PredictedContact(meeting, "p1", "limb", "link", capsule, capsule)
            factor = limit(config, PredictionResult(predicted), 0.2).factor
            speed = factor * config.robot_speed_max
            assert speed == 0.0 or 0.2 + speed / config.deceleration <= meeting + 1e-9

    @settings(max_examples=60)
    @given(
        st.floats(0.3, 4.0),
        st.tuples(limbs_unit, limbs_unit, limbs_unit),
        st.floats(0.0, 1.0),
        st.floats(-0.5, 0.5),
    )
    def test_adding_a_forecast_never_loosens(self, x, velocity, radius, robot_speed):
        with_one, without = Scene(x, forecast_lost_factor=1.0), Scene(x, forecast_lost_factor=1.0)
        for scene in (with_one, without):
            scene.forecasts_on = False
            scene.robot_speed = robot_speed
            scene.run(0.2)
        ahead = forecast_of(person(x), with_one.now, 4.0 * np.array(velocity), radius)
        with_one.monitor.observe_forecasts(with_one.now, [ahead])
        for _ in range(5):
            a, b = with_one.tick(), without.tick()
            assert a.speed_factor <= b.speed_factor
            assert a.level >= b.level
            assert a.protective_distance == b.protective_distance

    def test_a_wider_radius_never_breaches_later(self):
        breaches = []
        for radius in (0.0, 0.1, 0.2, 0.4):
            scene = settled(2.0)
            ahead = forecast_of(person(2.0), scene.now, (-2.0, 0, 0), radius)
            scene.monitor.observe_forecasts(scene.now, [ahead])
            breaches.append(scene.monitor.assess(scene.now).time_to_breach)
        assert breaches == sorted(breaches, reverse=True)


class TestBreachProbability:
    def outlook(self, x: float, radius: float, velocity: float = 0.0):
        scene = settled(x)
        ahead = forecast_of(person(x), scene.now, (velocity, 0.0, 0.0), radius)
        scene.monitor.observe_forecasts(scene.now, [ahead])
        return scene.monitor.assess(scene.now)

    def test_it_is_the_alarms_for_as_many_radii_as_lie_between_the_surfaces(self):
        """Somebody stands, so that all paths say the same."""
        radius, answer = 0.3, self.outlook(1.0, 0.3)
        away = self.outlook(1.0, 1e-6).separation / radius
        alarm = SHIPPED.probability(np.full(5, away))
        last = answer.contact_probability[-1]  # 1.0 s ahead, the last of its horizons
        assert last == pytest.approx(alarm[-1], rel=0.05)  # noise moves the person a little
        assert (np.diff(answer.contact_probability) >= 0.0).all()

    def test_constant_velocity_counts_beside_the_forecast(self):
        scenes = [settled(1.2) for _ in range(2)]
        scenes[1].speed = -1.0
        said = []
        for scene in scenes:
            scene.run(0.2)
            where = scene.x
            ahead = forecast_of(person(where), scene.now, radius=0.3)  # says that nobody moves
            ahead = dataclasses.replace(ahead, positions=ahead.positions + np.float32(1.2 - where))
            scene.monitor.observe_forecasts(scene.now, [ahead])
            said.append(scene.monitor.assess(scene.now).breach_probability)
        assert said[1] > 2.0 * said[0]

    def test_it_rises_with_the_radius_and_falls_with_the_distance(self):
        by_radius = [self.outlook(1.2, r).breach_probability for r in (0.01, 0.1, 0.2, 0.4, 0.8)]
        assert by_radius == sorted(by_radius)
        assert by_radius[0] == pytest.approx(0.0, abs=1e-9)
        by_distance = [self.outlook(x, 0.3).breach_probability for x in (0.2, 0.6, 1.0, 2.0)]
        assert by_distance == sorted(by_distance, reverse=True)

    def test_an_expected_touch_is_all_but_certain(self):
        assert self.outlook(0.1, 0.05).breach_probability > 0.99

    def test_nobody_there_means_no_breach(self):
        assert settled(None).tick().breach_probability == 0.0


class TestForecastCapsules:
    def test_they_grow_by_the_radius_of_the_forecast(self):
        ahead = forecast_of(person(2.0), 1.0, radius=0.13)
        for scale in (0.8, 1.0):
            (group,) = inflate(SafetyConfig(body_scale=scale), [ahead], {})
            np.testing.assert_allclose(group.growth, 0.13, rtol=1e-6)

    def test_everybody_grows_by_their_own_radius_at_each_step(self):
        steps = np.arange(1, 26)[:, None]
        ahead = []
        for index in (1, 2):
            one = forecast_of(dataclasses.replace(person(2.0), person_id=f"p{index}"), 1.0)
            radius = np.broadcast_to(0.01 * index * steps, one.radius.shape)
            ahead.append(dataclasses.replace(one, radius=radius.astype(np.float32)))
        (group,) = inflate(SafetyConfig(), ahead, {})
        whose = np.array([int(name[1:]) for name in group.person_ids])
        np.testing.assert_allclose(group.growth, 0.01 * steps * whose, rtol=1e-6)

    def test_a_touch_in_the_first_step_comes_at_its_beginning(self):
        """Forecast from an image that is 0.05 s ahead of this clock, as clocks may be off."""
        scene = settled(0.3)
        ahead = forecast_of(person(0.2), scene.now + 0.05)
        scene.monitor.observe_forecasts(scene.now + 0.05, [ahead], scene.now)
        answer = scene.monitor.assess(scene.now)
        assert answer.time_to_breach == pytest.approx(0.05, abs=1e-6)
