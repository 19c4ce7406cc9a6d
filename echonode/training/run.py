"""One run of a recipe in its folder: begun once, stopped and killed at any time, resumed to the same result."""

from __future__ import annotations

import json
import platform
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from echonode import __version__
from echonode.core.errors import BadInput
from echonode.core.identity import digest_of
from echonode.training.arguments import Precision, TrainingArguments
from echonode.training.atomic import write_text
from echonode.training.checkpoint import (
    load_checkpoint,
    random_state,
    save_checkpoint,
    seed_everything,
    set_random_state,
)
from echonode.training.dataset import DatasetManifest
from echonode.training.journal import Journal
from echonode.training.processes import Processes
from echonode.training.sources import DATASET_FILE, RUN_FILE

LAST_FILE, BEST_FILE = "last.pt", "best.pt"
SIGNALS = (signal.SIGTERM, signal.SIGINT)
T = TypeVar("T")
Module = TypeVar("Module", bound=torch.nn.Module)


class Run:
    """A run of `total` optimiser steps in `folder`; use it as a context manager around building and fitting.

    `identity` is what decides the result (`TrainingArguments.identity` and what the recipe adds); seed, total, the
    number of processes and the digest of `dataset` are added. It is written to run.json once. `minutes` of wall clock,
    over all resumes, are the most that training takes. On entry every random generator is begun from the seed.

    Raises:
        BadInput: on entry: the folder holds a run and `resume` is false, or `resume` is true and it holds none, or one
            of another identity: the message names what differs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: Mapping[str, Any],
        seed: int,
        total: int,
        device: str = "auto",
        resume: bool = False,
        dataset: DatasetManifest | None = None,
        minutes: float | None = None,
        precision: Precision = "fp32",
        threads: int = 0,
    ) -> None:
        self.folder, self.seed, self.total, self.dataset = folder, seed, total, dataset
        self._processes = Processes(device)
        self.identity: dict[str, Any] = json.loads(
            json.dumps(
                {
                    **identity,
                    "seed": seed,
                    "total": total,
                    "processes": self._processes.world_size,
                    "dataset": None if dataset is None else dataset.digest,
                }
            )
        )
        self.resume, self.precision, self._minutes, self._threads = resume, precision, minutes, threads
        self.step = 0
        self._signalled = 0
        self._threads_before = torch.get_num_threads()
        self._handlers: dict[int, Any] = {}
        self._before = 0.0
        self._began = time.monotonic()
        self._journal = Journal(folder, total=total, silent=not self._processes.first)

    @classmethod
    def of(
        cls,
        arguments: TrainingArguments,
        *,
        identity: Mapping[str, Any],
        total: int,
        dataset: DatasetManifest | None = None,
    ) -> Run:
        """The run that the arguments of a recipe ask for."""
        return cls(
            arguments.out, identity=identity, seed=arguments.seed, total=total, device=arguments.device,
            resume=arguments.resume, dataset=dataset, minutes=arguments.minutes, precision=arguments.precision,
            threads=arguments.threads,
        )  # fmt: skip

    def __enter__(self) -> Run:
        self._processes.join()
        try:
            self._processes.first_does(self._begin)
        except BaseException:
            self._processes.leave()
            raise
        self._threads_before = torch.get_num_threads()
        if self._threads:
            torch.set_num_threads(self._threads)
        seed_everything(self.seed, self.rank)
        self._began = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        torch.set_num_threads(self._threads_before)
        self._journal.close()
        self._processes.leave()

    @property
    def rank(self) -> int:
        """Which of the processes this is; the first (0) writes."""
        return self._processes.rank

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self._processes.world_size

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and publishes."""
        return self._processes.first

    @property
    def device(self) -> torch.device:
        """Where this process's tensors belong."""
        return self._processes.device

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the identity."""
        return digest_of(self.identity)

    @property
    def seconds(self) -> float:
        """Wall-clock time that the run took so far, over all resumes."""
        return self._before + time.monotonic() - self._began

    @property
    def stop_wanted(self) -> bool:
        """Whether a SIGTERM or SIGINT came to any process: save, and return with `stopped_at`.

        Ask once a step, in every process at the same place: they agree on the answer.
        """
        return self._processes.any([self._signalled > 0])[0]

    @property
    def time_is_up(self) -> bool:
        """Whether `minutes` are over in any process: end the loop early, then select and publish as usual.

        Ask once a step, in every process at the same place.
        """
        return self._minutes is not None and self._processes.any([self.seconds >= 60 * self._minutes])[0]

    def save(self, step: int, state: Mapping[str, Any], *, best: bool = False) -> None:
        """Keep the state after `step` steps in last.pt, and in best.pt when it is the best so far.

        `state` holds state dicts, tensors, numbers and text: model, optimiser, schedule, scaler, average, best score.
        Random generators are added. Every process must call it; the first one writes.

        Raises:
            TypeError: a value that torch could not read back safely; the message says where it is.
        """
        self.step = step
        generators = self._processes.gathered(random_state(self.device))
        if self.first:
            content = {"step": step, "seconds": self.seconds, "state": dict(state), "random": generators}
            save_checkpoint(self.folder / LAST_FILE, content, also=self.folder / BEST_FILE if best else None)

    def restore(self) -> tuple[int, dict[str, Any]] | None:
        """The last step that was saved and its state, on the CPU; None in a run that has none yet.

        `load_state_dict` takes it to where it belongs.

        Random generators go back to where they were, and metrics of later steps are forgotten: call it after the
        network is built and before the first step.

        Raises:
            BadInput: the checkpoint is damaged.
        """
        path = self.folder / LAST_FILE
        there = self._processes.first_does(path.is_file)
        if not self.resume or not there:
            self._processes.first_does(lambda: self._journal.forget_after(-1))
            return None
        content = load_checkpoint(path)
        self.step = int(content["step"])
        self._before, self._began = float(content["seconds"]), time.monotonic()
        self._journal.forget_after(self.step)
        set_random_state(content["random"][self.rank], self.device)
        return self.step, content["state"]

    def best(self) -> tuple[int, dict[str, Any]] | None:
        """The step and state that were saved as the best, on the CPU; None when none was.

        Raises:
            BadInput: the checkpoint is damaged.
        """
        path = self.folder / BEST_FILE
        if not self._processes.first_does(path.is_file):
            return None
        content = load_checkpoint(path)
        return int(content["step"]), content["state"]

    def log(self, step: int, **scalars: float) -> None:
        """Write numbers of `step` to metrics.jsonl and TensorBoard (the first process alone)."""
        self._journal.log(step, {name: float(value) for name, value in scalars.items()}, self.seconds)

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Write a picture H x W x 3 or H x W to pictures/ and TensorBoard (the first process alone)."""
        self._journal.picture(step, name, image)

    def tick(self, step: int, text: str = "") -> None:
        """Move the bar on standard error to `step`; a line now and then where that is no terminal."""
        self._journal.tick(step, text)

    def wrap(self, module: Module) -> Module | torch.nn.parallel.DistributedDataParallel:
        """The module on this run's device; under torchrun one that averages gradients. Keep the inner one for saving."""
        return self._processes.wrap(module)

    def gathered(self, value: T) -> list[T]:
        """The value of each process, by rank; every process must call it."""
        return self._processes.gathered(value)

    def agreed(self, value: T) -> T:
        """The first process's value, in every process: what is decided by it is decided alike. All must call it."""
        return self._processes.first_does(lambda: value)

    def autocast(self) -> AbstractContextManager[Any]:
        """The mixed precision that was asked for, around the forward pass and the loss."""
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        """A scaler of the loss: at work in fp16 on a GPU, otherwise it changes nothing. Save its state."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16" and self.device.type == "cuda")

    def _begin(self) -> None:
        path = self.folder / RUN_FILE
        if self.resume:
            if not path.is_file():
                raise BadInput(f"{self.folder}: holds no run; leave out --resume to begin one")
            known = _identity_in(path)
            different = sorted(key for key in known.keys() | self.identity if known.get(key) != self.identity.get(key))
            if different:
                shown = "; ".join(
                    f"{key}: {known.get(key)!s:.60} -> {self.identity.get(key)!s:.60}" for key in different
                )
                raise BadInput(f"{self.folder}: is another run: {shown}")
            return
        if path.exists() or (self.folder / LAST_FILE).exists():
            raise BadInput(f"{self.folder}: holds a run already; --resume goes on with it, --out names another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.dataset is not None:
            self.dataset.save(self.folder / DATASET_FILE)
        content = {
            "identity": self.identity, "digest": self.digest, "echonode": __version__, "torch": torch.__version__,
            "python": platform.python_version(), "device": str(self.device),
        }  # fmt: skip
        write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled += 1
        if number == signal.SIGINT and self._signalled > 1:
            raise KeyboardInterrupt


def _identity_in(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is no description of a run: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path}: is no description of a run")
    return found
