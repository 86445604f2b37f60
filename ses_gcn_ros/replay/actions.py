"""What people did when, as a recording or its corrected table tells it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser, label_changes
from ses_gcn_ros.actions.weights import UNKNOWN, ActionWeights
from ses_gcn_ros.bags.rosbag2 import PathLike, read_messages, topics_of
from ses_gcn_ros.datasets.actions import ActionSet, LabelledMotion, read_segments, segment_table
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.skeleton import Skeleton, get_layout

Segment = tuple[str, float, float, str]  # person, start and end [s], label

_LASTS = 0.5  # s for which a label is taken to hold on after it was last told


def recorded_actions(bag: PathLike) -> list[Segment]:
    """Who did what when, from a table of segments beside a bag or from its topic ``actions``.

    Empty where nothing tells. Raises BagError if the bag can't be read; InputError if the table is
    damaged.
    """
    table = segment_table(Path(bag))
    if table.is_file():
        return read_segments(table)
    if not any(topic.rpartition("/")[2] == "actions" for topic in topics_of(bag)):
        return []
    told: dict[str, list[tuple[float, str]]] = {}
    try:
        for entry in read_messages(bag, ["actions"]):
            stamp = entry.content.header.stamp
            for action in entry.content.actions:
                seconds = stamp.sec + stamp.nanosec * 1e-9
                told.setdefault(action.person_id, []).append((seconds, action.label))
    except BagError:  # cut off: what came before counts
        if not told:
            raise
    return [
        (person, start, end, label)
        for person, labels in told.items()
        for start, end, label in label_changes(labels)
    ]


def label_delays(
    data: ActionSet, weights: ActionWeights, config: ActionConfig
) -> NDArray[np.float64]:
    """Time from each change of what somebody does until its label is told [s].

    Changes are those within a stream to another class of the weights that lasts a second or more;
    NaN where its label is not told before the next. One that is told already, as what was done in
    between went unnoticed, is none. Raises ModelError as `Recogniser`.
    """
    streams: dict[tuple[str, str], list[LabelledMotion]] = defaultdict(list)
    for recording in (*data.recordings, *data.strange):
        streams[recording.subject, recording.name].append(recording)
    layout = get_layout(data.layout)
    columns = [layout.joints.index(name) for name in data.joints.names]
    confidence = np.isin(np.arange(len(layout.joints)), columns).astype(np.float32)
    classes, delays = set(weights.labels) - {UNKNOWN}, []
    for stream in streams.values():
        recogniser, before, end = Recogniser(weights, config), "", -np.inf
        for part in sorted(stream, key=lambda recording: recording.start):
            positions = np.full((len(part.positions), len(confidence), 3), np.nan, np.float32)
            positions[:, columns] = part.positions
            right = []
            for index, pose in enumerate(positions):
                person = Skeleton("", data.layout, pose, confidence)
                recogniser.observe(part.start + index / part.fps, [person])
                right += [action.label == part.label for action in recogniser.recognise()]
            follows, lasted = part.start - end < 2 / part.fps, len(right) / part.fps
            if follows and part.label in classes - {before} and lasted >= 1 and not right[0]:
                delays.append(right.index(True) / part.fps if any(right) else np.nan)
            before, end = part.label, part.start + lasted
    return np.array(delays)


class ActionTimeline:
    """What each person was doing at a time, from segments in any order."""

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self.segments = segments
        self._of: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for person, start, end, label in sorted(segments):
            self._of[person].append((start, end, label))

    def at(self, person: str, stamp: float) -> str:
        """Label of a person at a time [s]; empty where nothing tells."""
        stretches = self._of.get(person, [])
        index = bisect_right(stretches, stamp, key=lambda stretch: stretch[0]) - 1
        if index < 0 or stamp > stretches[index][1] + _LASTS:
            return ""
        return stretches[index][2]

    def seconds(self) -> dict[str, float]:
        """Time spent on each action by all people together [s]."""
        total: dict[str, float] = defaultdict(float)
        for _, start, end, label in self.segments:
            total[label] += end - start
        return dict(total)
