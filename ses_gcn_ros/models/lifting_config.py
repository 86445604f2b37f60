"""What a lifting network is: joints in the image to joints in space."""

from __future__ import annotations

from dataclasses import dataclass

from ses_gcn_ros.config import option


@dataclass(frozen=True)
class LiftingConfig:
    """A lifting network. SemGCN's defaults are the paper's full model."""

    kind: str = option("semgcn", "network: SemGCN or fully connected", choices=("semgcn", "linear"))
    layout: str = option("chico15", "joints of the input and of the answer")
    frames: int = option(1, "images it looks at, the last one is answered", minimum=1, maximum=64)
    width: int = option(128, "features per joint, or units of a layer", minimum=4, maximum=4096)
    blocks: int = option(4, "residual blocks of two layers", minimum=1, maximum=16)
    semantic: bool = option(
        True, "learn the weight of every edge (SemGConv, Eq. 2); false: an ordinary GCN (Eq. 1)"
    )
    channelwise: bool = option(
        False, "an edge weight for every channel (Eq. 3) instead of one for all"
    )
    nonlocal_blocks: bool = option(True, "relate all joints to all, after the first and each block")
    identity: bool = option(
        False, "a learned feature that says which joint is which; not published"
    )
    flat: bool = option(
        False, "add to the joints as seen, flat at the root's distance; not published"
    )
    dropout: float = option(0.0, "share of units left out, linear only", minimum=0.0, maximum=0.9)

    @property
    def inputs(self) -> int:
        """Features per joint: two coordinates and whether it is seen per image, and the scale."""
        return 3 * self.frames + 1
