"""Ejection fraction of a loop: the mean over clips that cover it, with what each clip gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import cv2
import torch

from echonode.core.clip import Clip
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import Ineligible, Result
from echonode.core.task import Progress
from echonode.tasks.common.eligibility import refusal_of_clip
from echonode.tasks.common.inputs import MOST_CLIPS, preparation_of, starts_of, whole_of
from echonode.tasks.common.reading import run_each
from echonode.tasks.common.uncertainty import Limits, limits_of
from echonode.tasks.ejection_fraction import prepare
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.estimator import Estimate, Estimator, open_estimator
from echonode.tasks.ejection_fraction.picture import Shown
from echonode.tasks.ejection_fraction.prepare import Preparation
from echonode.tasks.ejection_fraction.reading import Reading

PERCENT_RANGE: Final = (0.0, 100.0)
FEWEST_CLIPS: Final = 3


def open_runner(package: Package, device: str, threads: int) -> EjectionFractionRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its config or architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    return EjectionFractionRunner(
        estimator=open_estimator(package, device=device, threads=threads),
        convention=Convention.of(package.config),
        contract=package.input,
        preparation=package.preparation,
        limits=limits_of(package, "EF"),
        model=f"{package.name} {package.version}",
        simulated=package.simulated,
    )


class EjectionFractionRunner:
    """A Runner. Parameters: `preparation` (the package's), `clips`; published mode also takes `starts` and `seed`.

    `limits` were measured in the package's own preparation, and hold for no other. `model` names it on pictures.
    """

    def __init__(
        self, *, estimator: Estimator, convention: Convention, contract: Mapping[str, Any], preparation: str,
        limits: Limits | None = None, model: str = "", simulated: bool = False,
    ) -> None:  # fmt: skip
        self._estimator = estimator
        self._convention = convention
        self._contract = contract
        self._preparation = preparation
        self._limits = limits
        self._model = model
        self._simulated = simulated

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """A Measurement with its Picture (an Embedding, where the networks give no more) and Details, or one Ineligible,
        for each clip, in order."""
        return run_each(self, clips, parameters, progress)

    def read(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Reading | Ineligible:
        """The reading of one clip, or why there is none."""
        try:
            prepared = self.prepared(clip, parameters)
        except BadInput as error:
            return Ineligible(reason=str(error), code="parameters")
        if isinstance(prepared, Ineligible):
            return prepared
        estimates: list[Estimate] = []
        for estimate in self._estimator.estimates(prepared.tensors(self._convention)):
            estimates.append(estimate)
            progress(len(estimates), len(prepared.clips))
        percents = tuple(estimate.percent for estimate in estimates if estimate.percent is not None)
        if any(percent != percent for percent in percents):  # NaN: a network in pieces gives no number
            return Ineligible(reason="the model's answer is no number", code="not-finite")
        least, most = PERCENT_RANGE
        beyond = any(not least <= percent <= most for percent in percents)
        few = 0 < len(percents) < FEWEST_CLIPS
        return Reading(
            mode=prepared.mode,
            method=self._estimator.method,
            per_clip=percents,
            starts=prepared.starts,
            frames=tuple(sorted({int(index) for shown in prepared.shown for index in shown})),
            embedding=torch.stack([estimate.embedding for estimate in estimates]).mean(dim=0).numpy(),
            notes=(
                *prepared.notes,
                *(("a value outside 0 to 100 % is not to be believed",) if beyond else ()),
                *((f"read from {len(percents)} clips; {FEWEST_CLIPS} or more are wanted",) if few else ()),
            ),
            clip_frames=tuple(tuple(int(index) for index in shown) for shown in prepared.shown),
            limits=self._limits if prepared.mode == self._preparation else None,
            shown=Shown.of(clip, prepared, model=self._model, simulated=self._simulated) if percents else None,
        )

    def prepared(self, clip: Clip, parameters: Mapping[str, Any]) -> Preparation | Ineligible:
        """The clips that the networks would look at, or why there are none.

        Raises:
            BadInput: a parameter that is not understood.
        """
        return prepared_clip(
            clip, parameters, convention=self._convention, contract=self._contract, preparation=self._preparation
        )


def prepared_clip(
    clip: Clip, parameters: Mapping[str, Any], *, convention: Convention, contract: Mapping[str, Any], preparation: str
) -> Preparation | Ineligible:
    """What a model of this convention and [input] table would look at, or why it takes nothing of the clip.

    Raises:
        BadInput: a parameter that is not understood.
    """
    mode = preparation_of(parameters, preparation)
    clips = whole_of(parameters, "clips", None, least=1, most=MOST_CLIPS)
    seed = whole_of(parameters, "seed", None, least=0, most=2**63 - 1)
    starts = starts_of(parameters)
    if mode == "clinical" and (starts is not None or seed is not None):
        raise BadInput("starts and seed count frames: they belong to preparation published")
    refusal = refusal_of_clip(clip, contract, by_time=mode == "clinical")
    if refusal is not None:
        return refusal
    if mode == "clinical":
        colour = bool(contract.get("colour", False))
        return prepare.clinical(clip, convention, clips=clips, colour=colour)
    return prepare.published(clip, convention, clips=clips, starts=starts, seed=seed)
