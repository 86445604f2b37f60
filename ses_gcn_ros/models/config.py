"""What a forecasting network is: everything needed to rebuild it around its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ModelError

UNITS_PER_METRE = {"m": 1.0, "mm": 1000.0}
NETWORKS = ("sesgcn", "stsgcn", "dctmlp", "jointformer")


@dataclass(frozen=True)
class ModelConfig:
    """Network and the way motion is put to it; stored in the header of a weights file.

    The defaults are SeS-GCN as published: absolute positions in, absolute positions out. `origin`,
    `heading`, `offset`, `motion`, `frequency` and `visibility` are this project's (see `framing`).
    """

    network: str = option("sesgcn", "which network", choices=NETWORKS)
    layout: str = option("chico15", "joint layout of input and output")
    joints: int = option(15, "number of joints J", minimum=1)
    observed: int = option(10, "frames in, T", minimum=2)
    horizon: int = option(25, "frames out, H", minimum=1)
    fps: float = option(25.0, "frame rate of both [Hz]", minimum=1)
    unit: str = option("m", "unit that the network was trained in", choices=tuple(UNITS_PER_METRE))
    widths: tuple[int, ...] = option((66, 66, 66, 66, 3), "features after each layer", minimum=1)
    head: str = option(
        "temporal",
        "decoder of the graph networks: the published temporal convolutions, one linear map per "
        "joint, or that beside maps that see the whole body",
        choices=("temporal", "linear", "body"),
    )
    origin: bool = option(False, "positions relative to the last root joint")
    heading: bool = option(False, "positions turned so that the person faces one way")
    offset: bool = option(False, "predict the offset from the damped constant-velocity path")
    gate: int = option(
        0, "width of the learnt base of the offset; 0: velocity damped by 0.9 per frame", minimum=0
    )
    bones: bool = option(False, "bones of a forecast keep the length they have in the history")
    motion: bool = option(False, "displacements from the last frame as further inputs")
    frequency: bool = option(False, "inputs by frequency (cosine transform), not by frame")
    visibility: bool = option(False, "a flag per joint as further input; unseen joints may be NaN")

    @property
    def features(self) -> int:
        """Number of input features per joint and frame."""
        return 3 + 3 * self.motion + self.visibility

    def check(self) -> None:
        """Check what ranges alone can't.

        Raises ModelError if the decoder can't take what the last layer gives, or options contradict
        each other.
        """
        if not self.widths:
            raise ModelError("a network needs at least one layer; widths is empty")
        if self.network in ("dctmlp", "jointformer"):
            if len(set(self.widths)) > 1:
                raise ModelError(
                    f"the blocks of a {self.network} are of one width, not {self.widths}"
                )
            if self.network == "jointformer" and self.widths[0] % 4:
                raise ModelError(
                    f"the width of a jointformer is a multiple of 4, not {self.widths[0]}"
                )
        elif self.head == "temporal" and self.widths[-1] != 3:
            raise ModelError(
                f"the temporal decoder takes 3 features per joint, not {self.widths[-1]}; "
                "end widths with 3 or take head 'linear'"
            )
        if self.gate and (not self.offset or self.frequency or self.observed < 10):
            raise ModelError(
                "a learnt base (gate) takes offset: true, frequency: false and 10 observed frames "
                "or more"
            )
        if self.unit != "m" and (self.origin or self.offset or self.motion or self.bones):
            raise ModelError(f"framed motion is scaled in metres; unit is '{self.unit}'")
