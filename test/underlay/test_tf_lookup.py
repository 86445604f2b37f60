"""What a transform buffer answers about a tree of frames."""

from __future__ import annotations

import pytest

pytest.importorskip("tf2_ros")

from rclpy.time import Time
from tf2_ros import Buffer, TransformException
from tf_frames import at, stamped, translation

LATEST = Time()


@pytest.fixture
def arm(buffer: Buffer) -> Buffer:
    """A base that stands in the world, a tool that moves on it at 1 m/s from 10 s to 12 s."""
    buffer.set_transform_static(stamped("world", "base", xyz=(0, 0, 1)), "test")
    for second in (10.0, 11.0, 12.0):
        buffer.set_transform(stamped("base", "tool", second, xyz=(second, 0, 0)), "test")
    return buffer


class TestPath:
    def test_leads_from_source_coordinates_to_target_coordinates(self, arm: Buffer) -> None:
        assert translation(arm.lookup_transform("world", "tool", at(11))) == [11, 0, 1]

    def test_needs_no_data_above_the_common_ancestor(self, arm: Buffer) -> None:
        arm.set_transform(stamped("map", "world", 50.0), "test")
        arm.set_transform_static(stamped("world", "camera", xyz=(0, 2, 0)), "test")
        assert translation(arm.lookup_transform("camera", "tool", at(12))) == [12, -2, 1]

    def test_is_labelled_with_both_frames_and_the_time(self, arm: Buffer) -> None:
        answer = arm.lookup_transform("world", "tool", at(11.25))
        assert answer.header.frame_id == "world"
        assert answer.child_frame_id == "tool"
        assert Time.from_msg(answer.header.stamp).nanoseconds == 11_250_000_000

    def test_takes_the_time_as_a_message_too(self, arm: Buffer) -> None:
        answer = arm.lookup_transform("world", "tool", at(11.25).to_msg())
        assert translation(answer) == [11.25, 0, 1]

    def test_of_a_frame_to_itself_is_the_identity(self, arm: Buffer) -> None:
        answer = arm.lookup_transform("tool", "tool", at(99))
        assert translation(answer) == [0, 0, 0]
        assert answer.transform.rotation.w == 1
        assert translation(arm.lookup_transform("unheard_of", "unheard_of", LATEST)) == [0, 0, 0]


class TestTime:
    def test_zero_asks_for_the_latest(self, arm: Buffer) -> None:
        answer = arm.lookup_transform("world", "tool", LATEST)
        assert translation(answer) == [12, 0, 1]
        assert answer.header.stamp.sec == 12

    def test_zero_stops_where_the_slowest_frame_of_the_path_does(self, arm: Buffer) -> None:
        for second in (11.0, 11.5, 13.0):
            arm.set_transform(stamped("tool", "finger", second), "test")
        for second in (10.0, 11.5):
            arm.set_transform(stamped("world", "person", second), "test")
        assert arm.lookup_transform("base", "finger", LATEST).header.stamp.sec == 12
        answer = arm.lookup_transform("person", "finger", LATEST)
        assert Time.from_msg(answer.header.stamp).nanoseconds == 11_500_000_000

    def test_is_anything_for_static_frames(self, arm: Buffer) -> None:
        for time in (LATEST, at(1), at(1e6)):
            answer = arm.lookup_transform("world", "base", time)
            assert translation(answer) == [0, 0, 1]
            assert Time.from_msg(answer.header.stamp).nanoseconds == time.nanoseconds

    def test_of_samples_may_run_backwards(self, buffer: Buffer) -> None:
        for second in (12.0, 10.0, 11.0, 11.0):
            buffer.set_transform(stamped("base", "tool", second, xyz=(second, 0, 0)), "test")
        assert translation(buffer.lookup_transform("base", "tool", at(10.75))) == [10.75, 0, 0]
        assert translation(buffer.lookup_transform("base", "tool", LATEST)) == [12, 0, 0]


class TestRefusal:
    def test_of_an_unknown_frame(self, arm: Buffer) -> None:
        for target, source in (("world", "moon"), ("moon", "world")):
            assert not arm.can_transform(target, source, LATEST)
            with pytest.raises(TransformException, match="moon"):
                arm.lookup_transform(target, source, LATEST)

    def test_of_frames_in_two_trees(self, arm: Buffer) -> None:
        arm.set_transform_static(stamped("moon", "crater"), "test")
        for time in (LATEST, at(11)):
            assert not arm.can_transform("tool", "crater", time)
            with pytest.raises(TransformException, match=r"crater|tool"):
                arm.lookup_transform("tool", "crater", time)

    def test_of_a_time_after_the_last_sample(self, arm: Buffer) -> None:
        assert not arm.can_transform("world", "tool", at(12.5))
        with pytest.raises(TransformException, match=r"12\.500.*12\.000"):
            arm.lookup_transform("world", "tool", at(12.5))

    def test_of_a_time_before_the_first_sample(self, arm: Buffer) -> None:
        assert not arm.can_transform("tool", "world", at(9.5))
        with pytest.raises(TransformException, match=r"9\.500.*10\.000"):
            arm.lookup_transform("tool", "world", at(9.5))

    def test_of_any_time_but_that_of_a_single_sample(self, buffer: Buffer) -> None:
        buffer.set_transform(stamped("base", "tool", 10.0), "test")
        assert buffer.can_transform("base", "tool", at(10))
        for second in (9.0, 11.0):
            with pytest.raises(TransformException, match=rf"{second:.3f}.*10\.000"):
                buffer.lookup_transform("base", "tool", at(second))

    def test_of_a_loop(self, buffer: Buffer) -> None:
        for parent, child in (("a", "b"), ("b", "c"), ("c", "a"), ("x", "y")):
            buffer.set_transform_static(stamped(parent, child), "test")
        for time in (LATEST, at(1)):
            for target, source in (("y", "a"), ("a", "y")):
                with pytest.raises(TransformException, match="loop"):
                    buffer.lookup_transform(target, source, time)

    @pytest.mark.parametrize("frame", ["", "/tool"])
    def test_of_an_empty_frame_id_or_one_with_a_slash_in_front(
        self, arm: Buffer, frame: str
    ) -> None:
        for target, source in (("world", frame), (frame, "world")):
            assert not arm.can_transform(target, source, LATEST)
            with pytest.raises(TransformException):
                arm.lookup_transform(target, source, LATEST)


class TestMemory:
    def test_reaches_ten_seconds_back(self, buffer: Buffer) -> None:
        for second in (100.0, 101.0, 105.0, 111.0, 111.5):
            buffer.set_transform(stamped("base", "tool", second), "test")
        assert buffer.can_transform("base", "tool", at(105))
        with pytest.raises(TransformException, match=r"100\.900.*10\d\.\d00"):
            buffer.lookup_transform("base", "tool", at(100.9))

    def test_keeps_static_frames_when_cleared(self, arm: Buffer) -> None:
        arm.clear()
        assert arm.can_transform("world", "base", LATEST)
        assert not arm.can_transform("base", "tool", LATEST)
        with pytest.raises(TransformException):
            arm.lookup_transform("base", "tool", at(11))
        arm.set_transform(stamped("base", "tool", 3.0), "test")
        assert arm.can_transform("world", "tool", at(3))


class TestChange:
    def test_of_parent_holds_from_its_sample_on(self, arm: Buffer) -> None:
        arm.set_transform_static(stamped("world", "bench", xyz=(0, 5, 0)), "test")
        arm.set_transform(stamped("bench", "tool", 13.0), "test")
        assert translation(arm.lookup_transform("world", "tool", at(12))) == [12, 0, 1]
        # Between the two, the tool stays where it was last seen: there is nothing to blend.
        assert translation(arm.lookup_transform("world", "tool", at(12.75))) == [12, 0, 1]
        assert translation(arm.lookup_transform("world", "tool", at(13))) == [0, 5, 0]

    def test_of_a_static_frame_replaces_it(self, arm: Buffer) -> None:
        arm.set_transform_static(stamped("world", "base", xyz=(0, 0, 3)), "test")
        assert translation(arm.lookup_transform("world", "base", at(5))) == [0, 0, 3]

    def test_from_moving_to_static_and_back_starts_afresh(self, arm: Buffer) -> None:
        arm.set_transform_static(stamped("base", "tool", xyz=(7, 0, 0)), "test")
        assert translation(arm.lookup_transform("base", "tool", at(11))) == [7, 0, 0]
        arm.set_transform(stamped("base", "tool", 20.0, xyz=(8, 0, 0)), "test")
        assert translation(arm.lookup_transform("base", "tool", at(20))) == [8, 0, 0]
        assert not arm.can_transform("base", "tool", at(11))
