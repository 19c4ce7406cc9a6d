"""Noise schedules: how much noise each timestep has, and every constant that a step needs, in float64.

Ho et al. (NeurIPS 2020) for the linear schedule and the posterior; Nichol and Dhariwal, "Improved denoising diffusion
probabilistic models" (ICML 2021) for the cosine schedule, respacing and the learned range of variances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]

LARGEST_BETA: Final = 0.999
COSINE_OFFSET: Final = 0.008


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoiseSchedule:
    """`betas` float64 (n,), and the timestep of the whole schedule that each of them stands for, int64 (n,)."""

    betas: Table
    timesteps: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or self.betas.shape != self.timesteps.shape or not len(self.betas):
            raise ValueError("one timestep a beta is expected, and at least one")
        if not ((self.betas > 0) & (self.betas <= 1)).all():
            raise ValueError("betas lie above 0 and not above 1")

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def alphas_cumprod(self) -> Table:
        """The share of the picture's variance that is left after each step."""
        left: Table = np.cumprod(1.0 - self.betas, dtype=np.float64)
        return left

    @property
    def alphas_cumprod_prev(self) -> Table:
        """As `alphas_cumprod`, one step earlier; 1 before the first."""
        return np.append(1.0, self.alphas_cumprod[:-1])

    @property
    def sqrt_recip_alphas_cumprod(self) -> Table:
        """What a noisy picture is multiplied by on the way to the clean one."""
        return np.sqrt(1.0 / self.alphas_cumprod)

    @property
    def sqrt_recipm1_alphas_cumprod(self) -> Table:
        """What the noise is multiplied by on the way to the clean picture."""
        return np.sqrt(1.0 / self.alphas_cumprod - 1)

    @property
    def posterior_variance(self) -> Table:
        """Variance of the picture one step earlier, given this one and the clean one."""
        return self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @property
    def posterior_log_variance_clipped(self) -> Table:
        """Its logarithm; the first entry, the logarithm of zero, is replaced by the second."""
        variance = self.posterior_variance
        return np.log(np.append(variance[1:2] if len(self) > 1 else self.betas, variance[1:]))

    @property
    def posterior_mean_coef1(self) -> Table:
        """How much of the clean picture is in the mean one step earlier."""
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @property
    def posterior_mean_coef2(self) -> Table:
        """How much of the noisy picture is in the mean one step earlier."""
        return (1.0 - self.alphas_cumprod_prev) * np.sqrt(1.0 - self.betas) / (1.0 - self.alphas_cumprod)


def cosine(steps: int) -> Table:
    """Betas of the cosine schedule."""

    def left(u: float) -> float:
        return math.cos((u + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2

    betas = [min(1 - left((i + 1) / steps) / left(i / steps), LARGEST_BETA) for i in range(steps)]
    return np.array(betas, np.float64)


def linear(steps: int) -> Table:
    """Betas of the linear schedule: 0.0001 to 0.02 for a thousand steps, more for fewer."""
    scale = 1000 / steps
    return np.linspace(scale * 0.0001, scale * 0.02, steps, dtype=np.float64)


SCHEDULES: Final[Mapping[str, Callable[[int], Table]]] = {"cosine": cosine, "linear": linear}


def noise_schedule(name: str, steps: int = 1000, *, respacing: str = "") -> NoiseSchedule:
    """The schedule `name` of `steps` timesteps, or those of it that `respacing` keeps.

    `respacing`: "50" keeps 50 evenly spread ones, "10,15,20" so many of each of three equal sections, "ddim25" every
    n-th so that exactly 25 are kept; empty keeps all.

    Raises:
        ValueError: no such schedule, or a respacing that cannot be met.
    """
    if name not in SCHEDULES:
        raise ValueError(f"no schedule {name!r}; there are: {', '.join(SCHEDULES)}")
    betas = SCHEDULES[name](steps)
    if not respacing:
        return NoiseSchedule(betas=betas, timesteps=np.arange(steps, dtype=np.int64))
    kept = np.array(kept_timesteps(steps, respacing), np.int64)
    left = np.cumprod(1.0 - betas)[kept]
    return NoiseSchedule(betas=1 - left / np.append(1.0, left[:-1]), timesteps=kept)


def kept_timesteps(steps: int, respacing: str) -> list[int]:
    """The timesteps that a respacing keeps, in rising order.

    Raises:
        ValueError: it is no respacing, or keeps more than there are.
    """
    if respacing.startswith("ddim"):
        wanted = _whole(respacing.removeprefix("ddim"), respacing)
        for stride in range(1, steps):
            if len(range(0, steps, stride)) == wanted:
                return list(range(0, steps, stride))
        raise ValueError(f"no whole stride through {steps} timesteps keeps exactly {wanted}")
    counts = [_whole(part, respacing) for part in respacing.split(",")]
    kept: list[int] = []
    start = 0
    for number, count in enumerate(counts):
        size = steps // len(counts) + (number < steps % len(counts))
        if size < count:
            raise ValueError(f"{count} timesteps cannot be kept of a section of {size}")
        spread = (size - 1) / (count - 1) if count > 1 else 1.0
        place = 0.0
        for _ in range(count):
            kept.append(start + round(place))
            place += spread
        start += size
    return kept


def _whole(text: str, respacing: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) < 1:
        raise ValueError(f"{respacing!r} is no respacing: 50, 10,15,20 or ddim25 is expected")
    return int(text)
