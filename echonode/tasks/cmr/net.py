"""The networks by name: that of Sahashi et al. (J Am Soc Echocardiogr 2025;38:807), and echonode's own compact one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from echonode.tasks.cmr.compact import CompactWallMotion
from echonode.tasks.common.r2plus1d import r2plus1d_18

PUBLISHED, COMPACT = "r2plus1d-18", "compact-wall-motion"
ARCHITECTURES: Final[Mapping[str, frozenset[str]]] = {
    PUBLISHED: frozenset({"outputs"}),
    COMPACT: frozenset({"outputs", "width", "dropout"}),
}


def build(architecture: str, **config: Any) -> nn.Module:
    """The network of that name: "r2plus1d-18" or "compact-wall-motion"; `outputs` is the number of its logits (1).

    The compact one takes `width` and `dropout` besides.

    Raises:
        ValueError: no such architecture, or a constructor argument that it does not take.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(ARCHITECTURES)}")
    if unknown := sorted(config.keys() - ARCHITECTURES[architecture]):
        raise ValueError(f"{architecture} takes no argument {', '.join(unknown)}")
    if architecture == COMPACT:
        return CompactWallMotion(**config)
    return r2plus1d_18(outputs=int(config.get("outputs", 1)))
