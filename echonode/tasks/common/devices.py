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
