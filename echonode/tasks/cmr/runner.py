"""Whether cardiac MRI would show a finding, from one view of echo. Research: the authors found tissue unreadable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import torch
from torch import nn

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Ineligible, Result
from echonode.core.task import Progress
from echonode.tasks.cmr import prepare
from echonode.tasks.cmr.compact import SIDE, CompactWallMotion
from echonode.tasks.cmr.net import ARCHITECTURES, build
from echonode.tasks.cmr.prepare import Convention, Preparation
from echonode.tasks.cmr.quantities import QUANTITIES
from echonode.tasks.cmr.reading import Reading
from echonode.tasks.common.checkpoint import load_weights, outline, shapes_of
from echonode.tasks.common.devices import keep_float32, open_device
from echonode.tasks.common.eligibility import refusal_of_clip
from echonode.tasks.common.inputs import MOST_CLIPS, preparation_of, starts_of, whole_of
from echonode.tasks.common.reading import run_each
from echonode.tasks.common.uncertainty import Limits, limits_of

ROLE = "classifier"


def open_runner(package: Package, device: str, threads: int) -> CmrRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its config or architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    place = open_device(device, threads=threads)
    keep_float32(place)
    network = network_of(package)
    finding, threshold = package.config.get("finding"), package.config.get("threshold")
    if finding not in QUANTITIES:
        raise PackageInvalid(f"{package.name}: config.finding: {' or '.join(QUANTITIES)} is expected, not {finding!r}")
    if threshold is not None and (not isinstance(threshold, int | float) or not 0 < threshold < 1):
        raise PackageInvalid(f"{package.name}: config.threshold: between 0 and 1 is expected, not {threshold!r}")
    convention, quantity = Convention.of(package.config), QUANTITIES[str(finding)]
    if isinstance(network, CompactWallMotion) and convention.side != SIDE:
        raise PackageInvalid(f"{package.name}: config.side: {SIDE} is expected, not {convention.side}")
    return CmrRunner(
        network=network.to(place),
        device=place,
        convention=convention,
        finding=str(finding),
        threshold=None if threshold is None else float(threshold),
        contract=package.input,
        preparation=package.preparation,
        limits=None if quantity.probability else limits_of(package, quantity.title, ""),
        remarks=remarks_of(package, str(finding)),
    )


def remarks_of(package: Package, finding: str) -> tuple[str, ...]:
    """What a reader must know of a package's answers: at which field a T1 would have been measured, how well it told apart.

    Raises:
        PackageInvalid: config.field_strength_t is no field strength.
    """
    remarks = []
    if finding == "native-t1":
        field = package.config.get("field_strength_t")
        if field is not None and (isinstance(field, bool) or not isinstance(field, int | float) or not 0 < field < 12):
            raise PackageInvalid(f"{package.name}: config.field_strength_t: tesla are expected, not {field!r}")
        told = "not stated" if field is None else f"{field:g} T"
        remarks.append(f"field strength of the magnetic resonance that the model learned from: {told}")
    if QUANTITIES[finding].probability:
        area = next((m for m in package.metrics if m["name"] == "AUC" and m.get("locked")), None)
        if area is not None:
            low, high = area.get("low"), area.get("high")
            span = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
            remarks.append(f"area under the ROC curve {area['value']:.2f}{span} on {area['on']}, locked")
    return tuple(remarks)


def network_of(package: Package) -> nn.Module:
    """The network of a package with its weights, evaluating, on the CPU.

    Raises:
        PackageInvalid: its architecture or [config.network] is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    architecture, config = package.architecture.get(ROLE, ""), package.config.get("network", {})
    if architecture not in ARCHITECTURES or ROLE not in package.weights:
        raise PackageInvalid(f"{package.name}: {' or '.join(ARCHITECTURES)} is expected as {ROLE}")
    if not isinstance(config, Mapping):
        raise PackageInvalid(f"{package.name}: config.network: a table is expected")
    try:
        network = outline(partial(build, architecture, **config))
    except (ValueError, TypeError, RuntimeError) as error:
        raise PackageInvalid(f"{package.name}: config.network: {error}") from error
    network.load_state_dict(load_weights(package.weights[ROLE], shapes_of(network)), assign=True)
    return network.eval().requires_grad_(False)


class CmrRunner:
    """A Runner. Parameters: `preparation` (the package's); `clips`, in clinical mode: published has one."""

    def __init__(
        self, *, network: nn.Module, device: torch.device, convention: Convention, finding: str,
        threshold: float | None, contract: Mapping[str, Any], preparation: str, limits: Limits | None = None,
        remarks: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._network = network
        self._device = device
        self._convention = convention
        self._finding = finding
        self._threshold = threshold
        self._contract = contract
        self._preparation = preparation
        self._limits = limits
        self._remarks = remarks

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """A Measurement, a Finding where the package has a threshold, and Details, or one Ineligible, for each clip."""
        return run_each(self, clips, parameters, progress)

    def read(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Reading | Ineligible:
        """The reading of one clip, or why there is none."""
        try:
            prepared = self.prepared(clip, parameters)
        except BadInput as error:
            return Ineligible(reason=str(error), code="parameters")
        if isinstance(prepared, Ineligible):
            return prepared
        logits: list[float] = []
        for tensor in prepared.tensors():
            with torch.inference_mode():
                logits.append(float(self._network(tensor.unsqueeze(0).to(self._device)).float().cpu()[0, 0]))
            progress(len(logits), len(prepared.clips))
        if not all(math.isfinite(logit) for logit in logits):
            return Ineligible(reason="the model's answer is no number", code="not-finite")
        return Reading(
            finding=self._finding,
            mode=prepared.mode,
            per_clip=tuple(logits),
            starts_ms=prepared.starts_ms,
            frames=tuple(sorted({int(index) for shown in prepared.shown for index in shown})),
            threshold=self._threshold,
            notes=prepared.notes,
            limits=self._limits if prepared.mode == self._preparation else None,
            remarks=self._remarks if prepared.mode == self._preparation else (),
        )

    def prepared(self, clip: Clip, parameters: Mapping[str, Any]) -> Preparation | Ineligible:
        """The clips that the network would look at, or why there are none.

        Raises:
            BadInput: a parameter that is not understood.
        """
        mode = preparation_of(parameters, self._preparation)
        clips = whole_of(parameters, "clips", None, least=1, most=MOST_CLIPS)
        if starts_of(parameters) is not None:
            raise BadInput("starts: this task takes none; published mode begins with the first frame")
        refusal = refusal_of_clip(clip, self._contract, by_time=mode == "clinical")
        if refusal is not None:
            return refusal
        if mode == "clinical":
            colour = bool(self._contract.get("colour", False))
            return prepare.clinical(clip, self._convention, clips=clips, colour=colour)
        return prepare.published(clip, self._convention)
