"""One left-out frame as every method made it, side by side: what a decibel looks like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from echonode.core.clip import Clip
from echonode.dicom.video import contact_sheet
from echonode.tasks.common.sector import Mask, Scene, luma
from echonode.tasks.slow_motion.evaluate.held_out import MARGIN, HeldOut, Target
from echonode.tasks.slow_motion.evaluate.quality import Luma, psnr
from echonode.tasks.slow_motion.evaluate.scores import BLENDING, DIS, REPETITION

COLUMNS: Final = 3


class Sheet:
    """Hears what methods make (a `Seen`) and keeps the frame that is hardest to guess from its neighbours."""

    def __init__(self, held: HeldOut, scene: Scene) -> None:
        self._clip: Clip = held.clip
        self._factor = held.factor
        self._box = scene.box(margin=MARGIN)
        self._sector: Mask = scene.sector[self._box]
        self._target = max(held.targets, key=self._change)
        self._made: dict[str, Luma] = {}

    def __call__(self, method: str, target: Target, picture: Luma) -> None:
        """Keep the picture if it is of the chosen frame."""
        if target == self._target:
            self._made[method] = picture

    def write(self, folder: Path, *, name: str, flow: tuple[str, str], models: Sequence[str]) -> Path:
        """The acquired frame, then repetition, blending, DIS soft and sharp (called `flow` in scores) and the models, with the dB of
        each, as PNG."""
        truth = self._luma(self._target.index)
        shown = {"acquired": truth}
        labelled = zip(flow, (DIS, f"sharp {DIS}"), strict=True)
        for method, label in ((REPETITION, REPETITION), (BLENDING, BLENDING), *labelled):
            shown[label] = self._made[method]
        shown |= {model: self._made[model] for model in models if model in self._made}
        labels = [
            label if picture is truth else f"{label}  {psnr(picture, truth, self._sector):.2f} dB"
            for label, picture in shown.items()
        ]
        frames = [np.clip(np.rint(picture), 0, 255).astype(np.uint8)[:, :, None] for picture in shown.values()]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{_file_name(name)}-{self._factor}x-frame{self._target.index + 1}.png"
        Image.fromarray(contact_sheet(frames, columns=COLUMNS, labels=labels)).save(path)
        return path

    def _change(self, target: Target) -> float:
        near = target.before if target.t <= 0.5 else target.after
        difference: NDArray[np.float32] = self._luma(target.index) - self._luma(near)
        return float(np.abs(difference)[self._sector].mean())

    def _luma(self, index: int) -> Luma:
        return np.ascontiguousarray(luma(self._clip.frames[index])[self._box]).astype(np.float32)


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip("-.") or "loop"
