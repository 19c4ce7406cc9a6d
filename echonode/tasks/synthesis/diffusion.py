"""One step of the reverse diffusion: what the network's answer says of the clean picture and of the step before.

Pictures are float32 (N, 3, H, W) in -1 to 1. Steps are counted in the schedule that is walked, from its length minus 1
down to 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from echonode.tasks.synthesis.blocks import Labels
from echonode.tasks.synthesis.schedule import NoiseSchedule, Table

NOISE, VELOCITY = "noise", "velocity"
ANSWERS = (NOISE, VELOCITY)
Network = Callable[[torch.Tensor, torch.Tensor, Labels], torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prediction:
    """The picture one step earlier, as mean and logarithm of its variance; the clean picture; the noise in this one."""

    mean: torch.Tensor
    log_variance: torch.Tensor
    clean: torch.Tensor
    noise: torch.Tensor


class Diffusion:
    """The constants of a schedule as float32 tensors on a device.

    `answers` is what the first half of a network's answer is: "noise", as in the published networks, or "velocity"
    (Salimans and Ho, ICLR 2022), which tells of pure noise what the picture is like, so that brightness does not drift.
    """

    def __init__(self, schedule: NoiseSchedule, device: torch.device | str = "cpu", *, answers: str = NOISE) -> None:
        if answers not in ANSWERS:
            raise ValueError(f"answers {answers!r}: {' or '.join(ANSWERS)} is expected")
        self.schedule, self.answers = schedule, answers
        self.device = torch.device(device)

        def table(values: Table) -> torch.Tensor:
            return torch.from_numpy(np.asarray(values)).to(device=self.device, dtype=torch.float32)

        self.log_betas = table(np.log(schedule.betas))
        self.log_variances = table(schedule.posterior_log_variance_clipped)
        self.left = table(schedule.alphas_cumprod)
        self.left_before = table(schedule.alphas_cumprod_prev)
        self.picture_share = table(np.sqrt(schedule.alphas_cumprod))
        self.noise_share = table(np.sqrt(1.0 - schedule.alphas_cumprod))
        self.from_noisy = table(schedule.sqrt_recip_alphas_cumprod)
        self.from_noise = table(schedule.sqrt_recipm1_alphas_cumprod)
        self.mean_of_clean = table(schedule.posterior_mean_coef1)
        self.mean_of_noisy = table(schedule.posterior_mean_coef2)
        self.timesteps = torch.from_numpy(np.asarray(schedule.timesteps)).to(self.device)

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """`clean` with the noise of each picture's step."""
        return at(self.picture_share, steps) * clean + at(self.noise_share, steps) * noise

    def wanted(self, clean: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """What the first half of an answer to `clean` with `noise` should be."""
        if self.answers == NOISE:
            return noise
        return at(self.picture_share, steps) * noise - at(self.noise_share, steps) * clean

    def noise_of(self, own: torch.Tensor, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """The noise in `x` that the first half `own` of an answer tells."""
        if self.answers == NOISE:
            return own
        return at(self.picture_share, steps) * own + at(self.noise_share, steps) * x

    def predicted(
        self, answer: torch.Tensor, x: torch.Tensor, steps: torch.Tensor, *, noise: torch.Tensor | None = None,
        clip: bool = True,
    ) -> Prediction:  # fmt: skip
        """What the network's `answer` (N, 6, H, W) to `x` says; `noise` replaces its noise, as guidance does.

        The variance lies between the schedule's lower and upper bound, as the network has learnt.
        """
        own, range_ = answer.chunk(2, dim=1)
        told = noise is None
        noise = self.noise_of(own, x, steps) if noise is None else noise
        share = (range_ + 1) / 2
        log_variance = share * at(self.log_betas, steps) + (1 - share) * at(self.log_variances, steps)
        if told and self.answers == VELOCITY:  # without dividing by what is left of the picture: nothing, at first
            clean = at(self.picture_share, steps) * x - at(self.noise_share, steps) * own
        else:
            clean = at(self.from_noisy, steps) * x - at(self.from_noise, steps) * noise
        if clip:
            clean = clean.clamp(-1, 1)
        return Prediction(
            mean=self.posterior_mean(clean, x, steps), log_variance=log_variance, clean=clean, noise=noise
        )

    def posterior_mean(self, clean: torch.Tensor, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """The mean of the picture one step before `x`, were `clean` the clean one."""
        return at(self.mean_of_clean, steps) * clean + at(self.mean_of_noisy, steps) * x

    def ancestral(self, found: Prediction, steps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """The picture one step earlier, drawn with the standard normal `z`; the last step adds no noise."""
        return found.mean + _noisy(steps) * torch.exp(0.5 * found.log_variance) * z

    def ddim(
        self, found: Prediction, x: torch.Tensor, steps: torch.Tensor, z: torch.Tensor | None, *, eta: float
    ) -> torch.Tensor:
        """The same without memory of the variance (Song et al., ICLR 2021); `eta` 0 is deterministic and needs no `z`."""
        noise = (at(self.from_noisy, steps) * x - found.clean) / at(self.from_noise, steps)
        left, before = at(self.left, steps), at(self.left_before, steps)
        sigma = eta * torch.sqrt((1 - before) / (1 - left)) * torch.sqrt(1 - left / before)
        mean = found.clean * torch.sqrt(before) + torch.sqrt(1 - before - sigma**2) * noise
        return mean if z is None or eta == 0 else mean + _noisy(steps) * sigma * z


class Denoiser:
    """A network asked about certain label maps, with or without guidance.

    With `guidance` s other than 1 the noise is that without labels plus s times what the labels add to it
    (classifier-free guidance, Ho and Salimans 2022); it means something only where the network was trained with
    dropped labels. The variance is that with labels.
    """

    def __init__(self, network: Network, diffusion: Diffusion, labels: Labels, *, guidance: float = 1.0) -> None:
        self._network, self.diffusion, self._labels = network, diffusion, labels
        self._guidance = guidance
        self._null = Labels(torch.zeros_like(labels.one_hot[:1]), keep=True) if guidance != 1.0 else None

    def __call__(self, x: torch.Tensor, step: int, *, clip: bool = True) -> Prediction:
        """What the network says of pictures that are all at `step`."""
        steps = torch.full((len(x),), step, dtype=torch.int64, device=x.device)
        timesteps = self.diffusion.timesteps[steps]
        answer = self._network(x, timesteps, self._labels)
        if self._null is not None:
            own, range_ = answer.chunk(2, dim=1)
            without = self._network(x, timesteps, self._null).chunk(2, dim=1)[0]
            # Noise and velocity both are linear in it, so guiding either is guiding the other.
            answer = torch.cat((without + self._guidance * (own - without), range_), dim=1)
        return self.diffusion.predicted(answer, x, steps, clip=clip)


def at(table: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """The entries of `table` at `steps`, (N, 1, 1, 1)."""
    return table[steps][:, None, None, None]


def _noisy(steps: torch.Tensor) -> torch.Tensor:
    return (steps > 0).to(torch.float32)[:, None, None, None]
