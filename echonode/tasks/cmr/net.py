"""The network of Sahashi et al. (J Am Soc Echocardiogr 2025;38:807): one finding of cardiac MRI from one view of echo."""

from __future__ import annotations

from typing import Any

from torch import nn

from echonode.tasks.common.r2plus1d import r2plus1d_18


def build(architecture: str, **config: Any) -> nn.Module:
    """The network of that name: "r2plus1d-18"; `outputs` is the number of its logits (1).

    Raises:
        ValueError: no such architecture, or a constructor argument that it does not take.
    """
    if architecture != "r2plus1d-18":
        raise ValueError(f"no architecture {architecture!r}; there is: r2plus1d-18")
    if unknown := sorted(config.keys() - {"outputs"}):
        raise ValueError(f"{architecture} takes no argument {', '.join(unknown)}")
    return r2plus1d_18(outputs=int(config.get("outputs", 1)))
