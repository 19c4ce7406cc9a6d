"""Where models run: every GPU when there is one, the CPU otherwise, and no core counted twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from echonode.core.errors import ConfigurationError
from echonode.core.settings import ExecutionSection
from echonode.execution.slots import count_cuda_devices, slots_of


def test_auto_takes_every_gpu() -> None:
    """A lab that buys a second GPU should not have to say so."""
    slots = slots_of(ExecutionSection(), cuda_devices=lambda: 2)
    assert [slot.device for slot in slots] == ["cuda:0", "cuda:1"]


def test_auto_without_a_gpu_is_the_cpu() -> None:
    """A laptop must give results too."""
    assert [slot.name for slot in slots_of(ExecutionSection(), cuda_devices=lambda: 0)] == ["cpu/0"]


def test_a_machine_without_device_nodes_is_not_asked(tmp_path: Path) -> None:
    """Starting the node must not cost an import of torch where there is no GPU."""
    assert count_cuda_devices(nodes=tmp_path) == 0


def test_runners_on_one_device_share_its_cores() -> None:
    """Four runners with all cores each would be slower than one."""
    slots = slots_of(ExecutionSection(devices=("cpu",), runners_per_device=16))
    assert len(slots) == 16
    assert {slot.threads for slot in slots} == {max(1, len(os.sched_getaffinity(0)) // 16)}
    assert slots_of(ExecutionSection(devices=("cpu",), threads=3))[0].threads == 3


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:x", "auto "])
def test_a_device_that_does_not_exist_is_named(device: str) -> None:
    """A typing error must stop the start, not the first run at night."""
    with pytest.raises(ConfigurationError, match=r"execution\.devices"):
        slots_of(ExecutionSection(devices=(device,)))
