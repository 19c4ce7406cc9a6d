"""The processes of one run: torchrun starts several, otherwise there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from echonode.core.errors import BadInput, EchonodeError

T = TypeVar("T")
Module = TypeVar("Module", bound=torch.nn.Module)
PATIENCE = timedelta(minutes=30)


def this_process() -> tuple[int, int]:
    """Rank and number of the processes, as torchrun says before they have met: an epoch is one of all of them together."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class Processes:
    """This process among its peers, as torchrun's variables RANK, WORLD_SIZE and LOCAL_RANK say.

    Devices: "auto" is a GPU of its own where there is one, else the CPU. Between CPUs gloo carries gradients, between
    GPUs NCCL; what is agreed on in words always goes over gloo.

    Raises:
        BadInput: a device that is none, or that is not there.
    """

    def __init__(self, device: str = "auto") -> None:
        self.rank, self.world_size = this_process()
        self.device = _device(device, int(os.environ.get("LOCAL_RANK", "0")), self.world_size)
        self._words: Any = None
        self._owner = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def join(self) -> None:
        """Meet the others."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world_size == 1:
            return
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=PATIENCE)
            self._owner = True
        self._words = distributed.new_group(backend="gloo", timeout=PATIENCE)

    def leave(self) -> None:
        """Part from the others."""
        if self._owner and distributed.is_initialized():
            distributed.destroy_process_group()
        self._words, self._owner = None, False

    def any(self, flags: Sequence[bool]) -> tuple[bool, ...]:
        """For each flag whether it is raised in any process; every process must ask."""
        if self.world_size == 1:
            return tuple(flags)
        raised = torch.tensor([int(flag) for flag in flags])
        distributed.all_reduce(raised, op=distributed.ReduceOp.MAX, group=self._words)
        return tuple(bool(flag) for flag in raised.tolist())

    def gathered(self, value: T) -> list[T]:
        """The value of each process, by rank; every process must ask."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value, group=self._words)
        return values

    def first_does(self, work: Callable[[], T]) -> T:
        """What `work` gave in the first process, given to all; what it refused is refused in all.

        Raises:
            EchonodeError: whatever `work` raised; of its own class in the first process, BadInput in the others.
        """
        if self.world_size == 1:
            return work()
        answer: list[Any] = [None, None]
        refused: EchonodeError | None = None
        if self.first:
            try:
                answer[0] = work()
            except EchonodeError as error:
                refused = error
                answer[1] = str(error)
        distributed.broadcast_object_list(answer, src=0, group=self._words)
        if refused is not None:
            raise refused
        if answer[1] is not None:
            raise BadInput(str(answer[1]))
        given: T = answer[0]
        return given

    def wrap(self, module: Module) -> Module | torch.nn.parallel.DistributedDataParallel:
        """The module on this process's device; among several, one whose gradients are averaged."""
        module.to(self.device)
        if self.world_size == 1:
            return module
        devices = [self.device.index] if self.device.type == "cuda" else None
        return torch.nn.parallel.DistributedDataParallel(module, device_ids=devices)


def _device(text: str, local_rank: int, world_size: int) -> torch.device:
    if text == "auto":
        text = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise BadInput(f"--device {text}: auto, cpu, cuda or cuda:0 is expected") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise BadInput(f"--device {text}: this machine has no GPU that torch can use")
        index = local_rank if ":" not in text or world_size > 1 else device.index
        if index >= torch.cuda.device_count():
            raise BadInput(f"--device {text}: there are {torch.cuda.device_count()} GPUs")
        return torch.device("cuda", index)
    if device.type != "cpu":
        raise BadInput(f"--device {text}: auto, cpu, cuda or cuda:0 is expected")
    return device
