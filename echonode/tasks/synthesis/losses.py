"""The training losses of a network that learns its variance (Nichol and Dhariwal 2021, section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch

from echonode.tasks.synthesis.blocks import Labels
from echonode.tasks.synthesis.diffusion import Diffusion, Network, Prediction, at

VARIATIONAL_WEIGHT: Final = 0.001
HALF_BIN: Final = 1 / 255
SMALLEST_PROBABILITY: Final = 1e-12
EDGE: Final = 0.999


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Losses:
    """Each term as (N,): mean squared error of the noise or velocity, and the variational bound in bits a value."""

    mse: torch.Tensor
    vb: torch.Tensor
    weight: float

    @property
    def total(self) -> torch.Tensor:
        """The weighted sum; the weight is 0.001 in the echo authors' code and 1 in the semantic diffusion model's."""
        return self.mse + self.weight * self.vb


def losses(
    network: Network,
    diffusion: Diffusion,
    clean: torch.Tensor,
    labels: Labels,
    *,
    steps: torch.Tensor,
    noise: torch.Tensor,
    weight: float = VARIATIONAL_WEIGHT,
) -> Losses:
    """The losses of pictures (N, 3, H, W) at `steps` (N,) with standard normal `noise`."""
    x = diffusion.noised(clean, noise, steps)
    answer = network(x, diffusion.timesteps[steps], labels)
    own, range_ = answer.chunk(2, dim=1)
    # The bound teaches the variance alone: the noise part of the answer is taken as it is.
    found = diffusion.predicted(torch.cat((own.detach(), range_), dim=1), x, steps, clip=False)
    bound = variational_bound(diffusion, found, clean, x, steps)
    return Losses(mse=_mean((diffusion.wanted(clean, noise, steps) - own) ** 2), vb=bound, weight=weight)


def variational_bound(
    diffusion: Diffusion, found: Prediction, clean: torch.Tensor, x: torch.Tensor, steps: torch.Tensor
) -> torch.Tensor:
    """(N,) bits a value: the divergence from the true posterior, or at step 0 the cost of the 8-bit picture."""
    true_mean, true_log = diffusion.posterior_mean(clean, x, steps), at(diffusion.log_variances, steps)
    ratio = true_log - found.log_variance
    distance = (true_mean - found.mean) ** 2 * torch.exp(-found.log_variance)
    divergence = 0.5 * (-1.0 - ratio + torch.exp(ratio) + distance)
    cost = -_log_probability(clean, found.mean, 0.5 * found.log_variance)
    return torch.where(steps == 0, _mean(cost), _mean(divergence)) / math.log(2.0)


def _log_probability(x: torch.Tensor, mean: torch.Tensor, log_deviation: torch.Tensor) -> torch.Tensor:
    """Of the bin of 1/127.5 around each value, the outermost bins open, under a normal distribution."""
    centred, scale = x - mean, torch.exp(-log_deviation)
    below_upper = _normal((centred + HALF_BIN) * scale)
    below_lower = _normal((centred - HALF_BIN) * scale)
    inside = below_upper - below_lower
    probability = torch.where(x < -EDGE, below_upper, torch.where(x > EDGE, 1 - below_lower, inside))
    return probability.clamp(min=SMALLEST_PROBABILITY).log()


def _normal(x: torch.Tensor) -> torch.Tensor:
    """The normal distribution function by Page's approximation, which the published losses were computed with."""
    return 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).mean(1)
