#!/usr/bin/env python3
"""Make ses_gcn_ros/weights/rehearsal.npz: what `ses-gcn adapt` must not forget, of free recordings.

Usage: tools/make_rehearsal.py FOLDER (with cmu.npz, idle_dev.npz, assembly_dev.npz, hra_dev.npz)
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from ses_gcn_ros.datasets.sources import read_datasets
from ses_gcn_ros.training.adapt import HELD_OUT, REHEARSAL
from ses_gcn_ros.training.recipe import load_recipe
from ses_gcn_ros.training.sources import split

CLIP = 6.0  # s
TRAIN = {"cmu": 26, "idle_dev": 8, "assembly_dev": 3, "hra_dev": 7}  # clips
MEASURE = {"cmu": 12, "idle_dev": 4, "hra_dev": 3}

folder = Path(sys.argv[1])
recording = read_datasets([folder / f"{name}.npz" for name in TRAIN])
parts = split(recording.sequences, load_recipe("sesgcn_workcell").data)
rng = np.random.default_rng(0)
clips = []
for wanted, sequences, tags in (
    (TRAIN, parts.train, frozenset()),
    (MEASURE, parts.held_out, frozenset([HELD_OUT])),
):
    for group, count in wanted.items():
        long = [s for s in sequences if s.group == group and len(s) >= CLIP * s.fps]
        for number in rng.choice(len(long), count, replace=count > len(long)):
            chosen = long[number]
            first = rng.integers(len(chosen) - int(CLIP * chosen.fps) + 1)
            part = chosen.positions[first : first + int(CLIP * chosen.fps)]
            place = np.arange(0, len(part) - 1, chosen.fps / 25.0)
            low, share = place.astype(int), (place % 1)[:, None, None].astype(np.float32)
            part = part[low] + share * (part[low + 1] - part[low])
            clips.append(dataclasses.replace(chosen, source=part, tags=tags | {group}))
about = {
    "licence": "cmu: free for all uses; idle_dev (ReActIdle), assembly_dev (Human_Assembly_Data), "
    "hra_dev (human-robot-animations): MIT, see weights/NOTICE",
    **recording.about,
}
np.savez_compressed(
    REHEARSAL,
    ids=np.array([f"{number}_{clip.name}" for number, clip in enumerate(clips)]),
    lengths=np.array([len(clip) for clip in clips], np.int32),
    fps=np.float32(25),
    subjects=np.array([clip.subject for clip in clips]),
    tags=np.array([" ".join(sorted(clip.tags)) for clip in clips]),
    about=np.array(json.dumps(about)),
    positions_m=np.concatenate([clip.positions for clip in clips]).round(3),
)
print(f"{REHEARSAL}: {sum(map(len, clips)) / 25 / 60:.1f} min, {REHEARSAL.stat().st_size} bytes")
