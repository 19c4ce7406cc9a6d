"""Walks from noise to a picture: ancestral, DDIM, and DPM-Solver++ of second order.

Lu et al., "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models" (2022), algorithm 2, the
multistep variant; the clean picture is clipped at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from echonode.tasks.synthesis.diffusion import Denoiser
from echonode.tasks.synthesis.noise import NoiseSource

ANCESTRAL, DDIM, DPM_SOLVER = "ancestral", "ddim", "dpm-solver++"


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """How a picture is made: sampler, schedule, which timesteps are walked, DDIM's eta, and guidance.

    `respacing` as `noise_schedule` takes it; empty walks every timestep.
    """

    sampler: str = ANCESTRAL
    schedule: str = "cosine"
    timesteps: int = 1000
    respacing: str = ""
    eta: float = 0.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"no sampler {self.sampler!r}; there are: {', '.join(SAMPLERS)}")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must be from 0 to 1, not {self.eta:g}")
        if not (math.isfinite(self.guidance) and self.guidance >= 0):
            raise ValueError(f"guidance must not be below 0, not {self.guidance:g}")


def walk(denoiser: Denoiser, noise: NoiseSource, *, sampler: str, eta: float = 0.0) -> Iterator[torch.Tensor]:
    """The pictures (N, 3, H, W) after each call of the network; the last one is the result.

    Raises:
        ValueError: no such sampler.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"no sampler {sampler!r}; there are: {', '.join(SAMPLERS)}")
    return SAMPLERS[sampler](denoiser, noise, eta)


def _ancestral(denoiser: Denoiser, noise: NoiseSource, eta: float) -> Iterator[torch.Tensor]:
    x = noise.start()
    for step in reversed(range(len(denoiser.diffusion.schedule))):
        x = denoiser.diffusion.ancestral(denoiser(x, step), _all(step, x), noise.at(step))
        yield x


def _ddim(denoiser: Denoiser, noise: NoiseSource, eta: float) -> Iterator[torch.Tensor]:
    x = noise.start()
    for step in reversed(range(len(denoiser.diffusion.schedule))):
        z = noise.at(step) if eta else None
        x = denoiser.diffusion.ddim(denoiser(x, step), x, _all(step, x), z, eta=eta)
        yield x


def _dpm_solver(denoiser: Denoiser, noise: NoiseSource, eta: float) -> Iterator[torch.Tensor]:
    left = denoiser.diffusion.schedule.alphas_cumprod
    alphas, sigmas = np.sqrt(left), np.sqrt(1 - left)
    lambdas = np.log(alphas) - np.log(sigmas)  # half the logarithm of the signal-to-noise ratio
    x = noise.start()
    earlier: tuple[torch.Tensor, float] | None = None
    for step in reversed(range(len(left))):
        clean = denoiser(x, step).clean
        if step == 0:  # no noise is left: the ratio is infinite, and the first order is all there is
            yield clean
            return
        width = float(lambdas[step - 1] - lambdas[step])
        extrapolated = clean
        if earlier is not None:
            before, width_before = earlier
            extrapolated = clean + (clean - before) * (width / (2 * width_before))
        x = float(sigmas[step - 1] / sigmas[step]) * x - float(alphas[step - 1] * math.expm1(-width)) * extrapolated
        earlier = (clean, width)
        yield x


def _all(step: int, x: torch.Tensor) -> torch.Tensor:
    return torch.full((len(x),), step, dtype=torch.int64, device=x.device)


SAMPLERS: Final[Mapping[str, Callable[[Denoiser, NoiseSource, float], Iterator[torch.Tensor]]]] = {
    ANCESTRAL: _ancestral,
    DDIM: _ddim,
    DPM_SOLVER: _dpm_solver,
}
