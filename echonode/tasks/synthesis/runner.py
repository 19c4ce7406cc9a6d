"""Synthetic pictures of label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Ineligible, Picture, Result
from echonode.core.task import Progress
from echonode.core.view_codes import name_of
from echonode.tasks.common.camus import SECTOR_CODES, sector_codes
from echonode.tasks.common.checkpoint import load_weights, outline, shapes_of
from echonode.tasks.common.devices import open_device
from echonode.tasks.common.inputs import whole_of
from echonode.tasks.common.reading import silent
from echonode.tasks.common.sector import find_scene
from echonode.tasks.synthesis.blocks import Labels
from echonode.tasks.synthesis.diffusion import ANSWERS, NOISE, Denoiser, Diffusion
from echonode.tasks.synthesis.marking import marked
from echonode.tasks.synthesis.net import ARCHITECTURE, SdmUnet, build
from echonode.tasks.synthesis.noise import SeededNoise, image_seed
from echonode.tasks.synthesis.prepare import as_levels, conditioned, folded, one_hot, resized_labels, unfolded
from echonode.tasks.synthesis.samplers import Walk, walk
from echonode.tasks.synthesis.schedule import kept_timesteps, noise_schedule

ROLE: Final = "denoiser"
TITLE: Final = "Synthetic echo: research use only, not a patient image"
PRECISIONS: Final = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
LARGEST_SEED: Final = 2**63 - 1
SEGMENTATION_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66.4"
PLANES: Final = {"A4C": "4CH", "A2C": "2CH"}
"""What CAMUS calls the views that it has."""


def open_runner(package: Package, device: str, threads: int) -> SynthesisRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its config or architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    place = open_device(device, threads=threads)
    config = package.config
    if package.architecture.get(ROLE) != ARCHITECTURE or ROLE not in package.weights:
        raise PackageInvalid(f"{package.name}: {ARCHITECTURE} is expected as {ROLE}")
    if config.get("precision", "float32") not in PRECISIONS:
        raise PackageInvalid(f"{package.name}: config.precision: {', '.join(PRECISIONS)} is expected")
    try:
        network = outline(partial(build, ARCHITECTURE, **dict(config.get("network", {}))))
        usual = Walk(
            sampler=str(config.get("sampler", "ancestral")),
            schedule=str(config.get("schedule", "cosine")),
            timesteps=int(config.get("timesteps", 1000)),
            respacing=_respacing(str(config.get("respacing", "all"))),
        )
        noise_schedule(usual.schedule, usual.timesteps, respacing=usual.respacing)
        patch = int(config.get("patch", 1))
        answers = str(config.get("answers", NOISE))
        if answers not in ANSWERS:
            raise ValueError(f"answers {answers!r}: {' or '.join(ANSWERS)} is expected")
        conditions = tuple(str(each) for each in config.get("conditions", ()))
        if patch not in (1, 2, 4) or network.config.label_channels != SECTOR_CODES * patch**2 + len(conditions):
            raise ValueError(f"patch {patch} and {len(conditions)} conditions do not make the network's label channels")
    except (TypeError, ValueError) as error:
        raise PackageInvalid(f"{package.name}: config: {error}") from error
    network.load_state_dict(load_weights(package.weights[ROLE], shapes_of(network)), assign=True)
    network = network.eval().requires_grad_(False).to(place).to(memory_format=torch.channels_last)
    precision = PRECISIONS[str(config.get("precision", "float32"))]
    return SynthesisRunner(
        network=network if precision == torch.float32 else network.in_torso(precision),
        device=place,
        usual=usual,
        guided=float(config.get("drop_rate", 0)) > 0,
        view=str(config.get("view", "")),
        model=package.digest,
        patch=patch,
        conditions=conditions,
        simulated=package.simulated,
        answers=answers,
    )


class SynthesisRunner:
    """A Runner: a label map in, a synthetic picture out.

    Parameters: `seed` (0); `number`, which picture of this map it is (0); `sampler`, `steps` or `respacing`, `eta`,
    `guidance` (the package's); `marked` (True): whether the picture carries its marking. A segmentation, whose codes are
    those of CAMUS, needs `loop`, the clip that it was made of, which tells sector and view, and `phase`, ED or ES.
    """

    def __init__(
        self, *, network: SdmUnet, device: torch.device, usual: Walk, guided: bool, view: str, model: str,
        patch: int = 1, conditions: Sequence[str] = (), simulated: bool = False, answers: str = NOISE,
    ) -> None:  # fmt: skip
        self._network, self._device = network, device
        self._usual, self._guided = usual, guided
        self.view, self.model, self.simulated = view, model, simulated
        self.conditions, self._patch, self._answers = tuple(conditions), patch, answers
        self.size = patch * network.config.image_size
        self.codes = (network.config.label_channels - len(self.conditions)) // patch**2

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """One Picture or one Ineligible for each clip; its first frame is the label map."""
        results: list[tuple[Result, ...]] = []
        for index, (clip, asked) in enumerate(zip(clips, parameters, strict=True)):
            results.append((self._one(clip, asked),))
            progress(index + 1, len(clips))
        return results

    def walk_of(self, parameters: Mapping[str, Any]) -> Walk:
        """How a run with these parameters makes its picture.

        Raises:
            BadInput: a parameter is wrong, or guidance is asked of a network that never saw a dropped label.
        """
        try:
            asked = replace(
                self._usual,
                sampler=str(parameters.get("sampler", self._usual.sampler)),
                respacing=_asked_respacing(parameters, self._usual),
                eta=float(parameters.get("eta", self._usual.eta)),
                guidance=float(parameters.get("guidance", self._usual.guidance)),
            )
            if asked.respacing:
                kept_timesteps(asked.timesteps, asked.respacing)
        except (TypeError, ValueError) as error:
            raise BadInput(str(error)) from error
        if asked.guidance != 1.0 and not self._guided:
            raise BadInput(
                "guidance: this network was trained without dropped labels: what it says without a label means nothing"
            )
        return asked

    @torch.inference_mode()
    def sampled(
        self, maps: Sequence[ArrayLike], *, seeds: Sequence[int], asked: Walk, progress: Progress,
        views: Sequence[str | None] = (),
    ) -> NDArray[np.uint8]:  # fmt: skip
        """Pictures (N, S, S, 3) of label maps of any size, one seed each; terms of the labels are computed once.

        `views` are the maps' views, 4CH_ED, for a network that was told them; what it is not told it does not know.

        Raises:
            BadInput: a value is no label code.
        """
        labels = torch.cat([one_hot(resized_labels(_codes(each), self.size), self.codes) for each in maps])
        labels = conditioned(folded(labels, self._patch), views or [None] * len(maps), self.conditions)
        schedule = noise_schedule(asked.schedule, asked.timesteps, respacing=asked.respacing)
        diffusion = Diffusion(schedule, self._device, answers=self._answers)
        kept = Labels(labels.to(self._device), keep=True)
        denoiser = Denoiser(self._network, diffusion, kept, guidance=asked.guidance)
        side = self._network.config.image_size
        shape = (self._network.config.in_channels, side, side)
        noise = SeededNoise(seeds, shape, self._device)
        made = labels
        for done, each in enumerate(walk(denoiser, noise, sampler=asked.sampler, eta=asked.eta), start=1):
            made = each
            progress(done, len(diffusion.schedule))
        return as_levels(unfolded(made, self._patch))

    def _one(self, clip: Clip, parameters: Mapping[str, Any]) -> Result:
        try:
            asked = self.walk_of(parameters)
            base = whole_of(parameters, "seed", 0, least=0, most=LARGEST_SEED) or 0
            number = whole_of(parameters, "number", 0, least=0, most=1_000_000) or 0
            seed = image_seed(base, name=clip.source.name, number=number)
            labels, view = self._told(clip, parameters)
            (picture,) = self.sampled([labels], seeds=[seed], asked=asked, progress=silent, views=[view])
        except BadInput as error:
            return Ineligible(reason=str(error), code="parameters")
        shown = picture if parameters.get("marked") is False else marked(picture)
        return Picture(pixels=shown, title=TITLE, synthetic=True)

    def _told(self, clip: Clip, parameters: Mapping[str, Any]) -> tuple[NDArray[np.uint8], str | None]:
        """The map in sector codes, and its view and phase (4CH_ED) where they are known.

        Raises:
            BadInput: a segmentation without its loop, or of another view than the network makes.
        """
        labels = clip.frames[0, :, :, 0]
        if clip.source.sop_class_uid != SEGMENTATION_STORAGE:
            return labels, None
        loop = parameters.get("loop")
        if not isinstance(loop, Clip):
            raise BadInput("the label map of a loop says nothing of the sector: the loop itself is needed")
        if loop.frames.shape[1:3] != labels.shape:
            raise BadInput(f"a loop of {loop.frames.shape[1:3]} cannot tell the sector of labels of {labels.shape}")
        plane = PLANES.get(name_of(loop.view) or "") if loop.view is not None else None
        view = f"{plane}_{parameters.get('phase', 'ED')}" if plane is not None else None
        if self.view and view is not None and view != self.view:
            raise BadInput(f"the network makes {self.view}; this is {view}")
        scene = find_scene(loop.frames, loop.regions)
        moving = scene.sector if scene is not None else (loop.frames.max(axis=0) > 0).any(axis=2)
        return sector_codes(labels, moving | (labels > 0)), view


def _codes(labels: ArrayLike) -> NDArray[np.uint8]:
    values = np.asarray(labels)
    if values.ndim != 2 or values.dtype != np.uint8:
        raise BadInput(f"a label map is uint8, rows x columns, not {values.dtype} {values.shape}")
    return values


def _respacing(text: str) -> str:
    return "" if text == "all" else text


def _asked_respacing(parameters: Mapping[str, Any], usual: Walk) -> str:
    if "respacing" in parameters:
        return _respacing(str(parameters["respacing"]))
    if "steps" not in parameters:
        return usual.respacing
    steps = parameters["steps"]
    if type(steps) is not int or not 1 <= steps <= usual.timesteps:
        raise ValueError(f"steps: a whole number from 1 to {usual.timesteps} is expected, not {steps!r}")
    return "" if steps == usual.timesteps else str(steps)
