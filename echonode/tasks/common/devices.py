"""Where tensors live, and how many threads a CPU runner may take."""

from __future__ import annotations

import torch

from echonode.core.errors import RunFailed


def open_device(name: str, *, threads: int) -> torch.device:
    """The device `name` ("cpu", "cuda", "cuda:0"; "auto" takes the GPU when there is one); torch threads are set.

    Raises:
        RunFailed: there is no such device.
    """
    if threads > 0:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RunFailed(f"device {name!r} cannot be used: {str(error).splitlines()[0]}", transient=False) from error
    return device


def keep_float32(device: torch.device) -> None:
    """Have a GPU multiply in float32 as it is: its shorter TF32 would move a number by a thousandth of itself.

    For the whole process, so only where a runner's process gives numbers; a CPU has nothing shorter.
    """
    if device.type == "cuda":
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # made when it is imported
        torch.backends.cuda.matmul.fp32_precision = "ieee"
