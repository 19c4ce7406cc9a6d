"""Device slots: where runner processes may compute. Found without importing torch in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from echonode.core.errors import ConfigurationError
from echonode.core.settings import ExecutionSection

PROBE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One place for a runner process of each model: a torch device and the threads that a process there may use."""

    device: str
    index: int
    threads: int

    @property
    def name(self) -> str:
        """Device and index, for people and logs."""
        return f"{self.device}/{self.index}"


def slots_of(settings: ExecutionSection, *, cuda_devices: Callable[[], int] | None = None) -> tuple[Slot, ...]:
    """The slots that the settings name; `auto` is every GPU that torch can use, or the CPU when there is none.

    Raises:
        ConfigurationError: a device that is neither `auto`, `cpu` nor `cuda:N`.
    """
    devices: list[str] = []
    for wanted in settings.devices:
        if wanted == "auto":
            devices += [f"cuda:{number}" for number in range((cuda_devices or count_cuda_devices)())] or ["cpu"]
        elif wanted == "cpu" or (wanted.startswith("cuda:") and wanted[5:].isdigit()):
            devices.append(wanted)
        else:
            raise ConfigurationError(f'execution.devices: "auto", "cpu" or "cuda:0", not {wanted!r}')
    devices = list(dict.fromkeys(devices))
    count = len(devices) * settings.runners_per_device
    threads = settings.threads or max(1, len(os.sched_getaffinity(0)) // count)
    return tuple(
        Slot(device=device, index=index, threads=threads)
        for device in devices
        for index in range(settings.runners_per_device)
    )


def count_cuda_devices(*, nodes: Path = Path("/dev")) -> int:
    """GPUs that torch can use, 0 without a device node; a short-lived process asks torch, never this one."""
    if not any(node.name[6:].isdigit() for node in nodes.glob("nvidia[0-9]*")):
        return 0
    command: Sequence[str] = (sys.executable, "-P", "-m", "echonode.execution.child", "--count-cuda")
    try:
        answer = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=True, text=True)
        return int(json.loads(answer.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0
