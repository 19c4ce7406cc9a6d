"""What a run says while it goes: metrics.jsonl, TensorBoard events, pictures, and a bar or lines on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echonode.training.atomic import write_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from torch.utils.tensorboard import SummaryWriter

METRICS_FILE, EVENTS, PICTURES = "metrics.jsonl", "tensorboard", "pictures"
LINE_SECONDS = 10.0


class Journal:
    """The journal in `folder`; `silent` for every process but the first."""

    def __init__(self, folder: Path, *, total: int, silent: bool) -> None:
        self._folder, self._total, self._silent = folder, total, silent
        self._events: SummaryWriter | None = None
        self._bar: tuple[Progress, TaskID] | None = None
        self._told = -math.inf
        self._started: tuple[float, int] | None = None
        self._first = 0

    def forget_after(self, step: int) -> None:
        """Take back what was written of later steps than `step`: they will be done again."""
        self._first = step + 1
        path = self._folder / METRICS_FILE
        if self._silent or not path.is_file():
            return
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
        write_text(path, "".join(line + "\n" for line in kept))

    def log(self, step: int, scalars: dict[str, float], seconds: float) -> None:
        """One line of JSON and one event a scalar; a number that is not finite is null in JSON."""
        if self._silent:
            return
        line = {"step": step, "seconds": round(seconds, 3)}
        shown = {name: value if math.isfinite(value) else None for name, value in scalars.items()}
        with (self._folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **shown}) + "\n")
        for name, value in scalars.items():
            self._writer().add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """A picture H x W x 3 (or H x W) as PNG and as an event."""
        if self._silent:
            return
        from PIL import Image

        colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        folder = self._folder / PICTURES
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(colour, np.uint8)).save(folder / f"{name}-{step:07d}.png")
        self._writer().add_image(name, colour, step, dataformats="HWC")

    def tick(self, step: int, text: str) -> None:
        """`step` of the total is done; `text` says how it goes."""
        if self._silent:
            return
        now = time.monotonic()
        self._started = self._started or (now, step)
        if sys.stderr.isatty():
            bar, task = self._bar = self._bar or self._new_bar()
            bar.update(task, completed=step, status=text)
        elif now - self._told >= LINE_SECONDS or step >= self._total:
            self._told = now
            began, first = self._started
            rate = (now - began) / max(1, step - first)
            left = f", {rate * (self._total - step):.0f} s left" if step > first and step < self._total else ""
            sys.stderr.write(f"step {step}/{self._total}  {text}{left}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Nothing more comes."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
        if self._events is not None:
            self._events.close()
            self._events = None

    def _writer(self) -> Any:
        if self._events is None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(self._folder / EVENTS), purge_step=self._first or None)
        return self._events

    def _new_bar(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[status]}", markup=False),
            console=Console(file=sys.stderr), transient=False,
        )  # fmt: skip
        bar.start()
        return bar, bar.add_task("training", total=self._total, status="")


def _step_of(line: str) -> float:
    """The step of a line; a line that was cut off by a kill is of no step that counts."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
