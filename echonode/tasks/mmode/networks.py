"""The networks of a package, ready to be asked about windows: which statistics, which dropout, on which device.

`reference` is what the authors' test figures were computed with: stored statistics, no dropout. `batchstat` takes the
statistics of the one window, as the authors' pipeline does, without its dropout, so that a result can be had again.
`mc` drops channels as their pipeline does, several times from a stated seed: the spread is an uncertainty.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.errors import PackageInvalid
from echonode.tasks.mmode.folded import FoldedQuickNat
from echonode.tasks.mmode.net import CardioNet, QuickNat, use_statistics
from echonode.tasks.mmode.prepare import Preparation, network_input, quality_input
from echonode.tasks.mmode.windows import Grey

NetworkMode = Literal["reference", "batchstat", "mc"]
MODES: Final[tuple[NetworkMode, ...]] = ("reference", "batchstat", "mc")
PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
GPU_BATCH: Final = 8
Counted = Callable[[], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How often `mc` looks at a strip, and the seed of what it drops."""

    samples: int = 8
    seed: int = 0


class Networks:
    """One segmenter or none, and any number of classifiers; weights are loaded, modes can change from call to call.

    The published preparation runs the plain networks, the classifier in float64; the clinical one the same weights in
    the fastest form that gives the same numbers, or, where the package says so, in bfloat16, which moves logits by a few
    hundredths and takes a fifth of the time.
    """

    def __init__(
        self,
        *,
        segmenter: QuickNat | None,
        judges: Sequence[CardioNet],
        device: torch.device,
        sampling: Sampling,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.device, self.sampling, self.precision = device, sampling, precision
        self._segmenter = segmenter.eval().requires_grad_(False).to(device) if segmenter is not None else None
        self._fast = None if self._segmenter is None else _fast_form(self._segmenter, device, precision)
        self._judges = [judge.eval().requires_grad_(False).to(device) for judge in judges]

    def joined(self, further: Networks) -> Networks:
        """The networks of both, with these ones' device and sampling.

        Raises:
            PackageInvalid: both have a segmenter.
        """
        if self._segmenter is not None and further._segmenter is not None:
            raise PackageInvalid("a second segmentation network; one strip has one outline")
        return Networks(
            segmenter=self._segmenter or further._segmenter,
            judges=[*self._judges, *further._judges],
            device=self.device,
            sampling=self.sampling,
            precision=self.precision,
        )

    @property
    def segments(self) -> bool:
        """Whether the cavity can be outlined."""
        return self._segmenter is not None

    @property
    def judges(self) -> int:
        """How many classifiers there are."""
        return len(self._judges)

    def cavity(
        self, windows: Sequence[Grey], *, mode: NetworkMode, preparation: Preparation, told: Counted
    ) -> Iterator[list[Grey]]:
        """Probabilities (256, 256) of the cavity for 256 x 256 windows: one list, or one for each sample of `mc`."""
        assert self._segmenter is not None, "a package without a segmenter outlines nothing"
        # With statistics of the window the scale of the input hardly matters; with the stored ones it must be right.
        raw = preparation == "published" and mode != "reference"
        inputs = [torch.from_numpy(network_input(window, raw=raw))[None, None] for window in windows]
        network = self._segmenter
        use_statistics(network, "stored" if mode == "reference" else "batch")
        if mode != "mc":
            yield self._asked(inputs, fast=mode == "reference" and preparation == "clinical", told=told)
            return
        generator = torch.Generator().manual_seed(self.sampling.seed)
        network.dropout.generator = generator
        try:
            for _ in range(self.sampling.samples):
                yield self._asked(inputs, fast=False, told=told)
        finally:
            network.dropout.generator = None

    def quality(self, windows: Sequence[Grey], *, mode: NetworkMode, preparation: Preparation) -> list[float]:
        """The mean probability of all classifiers that each 256 x 256 window is good; they have no dropout."""
        kind = torch.float64 if preparation == "published" else torch.float32
        found = np.zeros(len(windows))
        for judge in self._judges:
            judge.to(kind)
            use_statistics(judge, "stored" if mode == "reference" else "batch")
            with torch.inference_mode(), _full_precision(self.device):
                for index, window in enumerate(windows):
                    picture = torch.from_numpy(quality_input(window))[None, None]
                    _, probability = judge(picture.to(self.device, kind))
                    found[index] += float(probability) / len(self._judges)
        return [float(value) for value in found]

    def _asked(self, inputs: Sequence[torch.Tensor], *, fast: bool, told: Counted) -> list[Grey]:
        ask = self._fast if fast else self._segmenter
        assert ask is not None
        found: list[Grey] = []
        size = GPU_BATCH if fast and self.device.type != "cpu" else 1
        with torch.inference_mode(), _full_precision(self.device):
            for start in range(0, len(inputs), size):
                batch = torch.cat(list(inputs[start : start + size])).to(self.device)
                answers = torch.sigmoid(ask(batch).float()).double().cpu().numpy()
                found += list(_pictures(answers))
                for _ in range(len(answers)):
                    told()
        return found


def _fast_form(
    network: QuickNat, device: torch.device, precision: torch.dtype
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What answers as `network` does with stored statistics, on that device."""
    if precision != torch.float32:
        halved = copy.deepcopy(network).to(precision).to(memory_format=torch.channels_last)
        return lambda pictures: cast(torch.Tensor, halved(pictures.to(precision, memory_format=torch.channels_last)))
    return FoldedQuickNat(network) if device.type == "cpu" else network


def _full_precision(device: torch.device) -> AbstractContextManager[None]:
    """On a GPU convolutions are otherwise rounded to ten bits, which moves borders and flips pooling."""
    if device.type != "cuda":
        return nullcontext()
    exact: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    return exact


def _pictures(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    pictures: NDArray[np.float64] = answers[:, 0]
    return pictures
