"""Which sequences train, which calibrate the radius, and which test; nobody is in two of them."""

from __future__ import annotations

from collections.abc import Sequence as Sequences
from dataclasses import dataclass

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.training.recipe import DataRecipe


@dataclass(frozen=True)
class Split:
    """Sequences by what they serve.

    Attributes
    ----------
    train : list of Sequence
        What the network learns from.
    held_out : list of Sequence
        What it is measured on: `calibrate` and `test` together.
    calibrate, test : list of Sequence
        What the radius is taken from, and what its coverage is measured on.
    """

    train: list[Sequence]
    held_out: list[Sequence]
    calibrate: list[Sequence]
    test: list[Sequence]


def split(sequences: Sequences[Sequence], recipe: DataRecipe) -> Split:
    """Split recordings as a recipe says.

    Held-out recordings calibrate and test by subject where the recipe names subjects for it, else
    in turn, ordered by subject, kind and length, so that both parts hold much the same.

    Raises
    ------
    InputError
        If a part would be empty.
    """
    unwanted = set(recipe.left_out_tags)
    sequences = [
        s for s in sequences if not s.name.startswith(recipe.left_out) and not s.tags & unwanted
    ]
    if recipe.held_out_subjects:
        held = {s.index for s in sequences if s.subject in recipe.held_out_subjects}
        rule = f"subjects {', '.join(recipe.held_out_subjects)}"
    else:
        every = recipe.held_out_every
        held = {s.index for s in sequences if s.index % every == every - 1}
        rule = f"every {every}th recording"
    likeness = {s.index: (s.subject, sorted(s.tags), len(s)) for s in sequences if s.index in held}
    order = {index: place for place, index in enumerate(sorted(held, key=likeness.__getitem__))}
    train = [s for s in sequences if s.index not in held]
    held_out = [s for s in sequences if s.index in held]
    if recipe.calibrate_subjects:
        calibrate = [s for s in held_out if s.subject in recipe.calibrate_subjects]
        test = [s for s in held_out if s.subject not in recipe.calibrate_subjects]
    else:
        calibrate = [s for s in held_out if order[s.index] % 2 == 0]
        test = [s for s in held_out if order[s.index] % 2 == 1]
    for name, part in (("training", train), ("calibration", calibrate), ("test", test)):
        if not part:
            raise InputError(
                f"holding out {rule} of {len(sequences)} sequences leaves none for {name}"
            )
    return Split(train, held_out, calibrate, test)
