"""Walks: caching changes nothing, DPM-Solver++ solves what it says it solves, noise is reproducible."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from echonode.tasks.synthesis.blocks import Labels
from echonode.tasks.synthesis.diffusion import Denoiser, Diffusion
from echonode.tasks.synthesis.net import SdmUnet, build
from echonode.tasks.synthesis.noise import SeededNoise, image_seed
from echonode.tasks.synthesis.samplers import SAMPLERS, Walk, walk
from echonode.tasks.synthesis.schedule import NoiseSchedule, noise_schedule

SHAPE = (3, 32, 32)
CPU = torch.device("cpu")


class Gaussian:
    """The exact answer of a network whose pictures are independent normal values of deviation `spread`."""

    def __init__(self, schedule: NoiseSchedule, spread: float) -> None:
        self._left = dict(zip(schedule.timesteps.tolist(), schedule.alphas_cumprod.tolist(), strict=True))
        self._spread = spread

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor, labels: Labels) -> torch.Tensor:
        left = self._left[int(timesteps[0])]
        noise = x * math.sqrt(1 - left) / (left * self._spread**2 + 1 - left)
        return torch.cat((noise, torch.zeros_like(x)), dim=1)


def _last(denoiser: Denoiser, sampler: str, *, eta: float = 0.0, seed: int = 1) -> torch.Tensor:
    with torch.inference_mode():
        return list(walk(denoiser, SeededNoise([seed], SHAPE, CPU), sampler=sampler, eta=eta))[-1]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_terms_that_are_kept_give_the_same_picture(sampler: str, small_net: SdmUnet, one_map: torch.Tensor) -> None:
    diffusion = Diffusion(noise_schedule("cosine", 1000, respacing="4"))
    kept = _last(Denoiser(small_net, diffusion, Labels(one_map, keep=True)), sampler, eta=0.5)
    anew = _last(Denoiser(small_net, diffusion, Labels(one_map)), sampler, eta=0.5)
    assert torch.equal(kept, anew)


def test_terms_are_computed_once(small_net: SdmUnet, one_map: torch.Tensor) -> None:
    calls: list[int] = []
    norm = small_net.middle_block[0].in_norm  # type: ignore[index, union-attr]
    hook = norm.mlp_shared.register_forward_hook(lambda *_: calls.append(1))
    try:
        _last(Denoiser(small_net, Diffusion(noise_schedule("cosine", 1000, respacing="5")),
                       Labels(one_map, keep=True)), "ancestral")  # fmt: skip
    finally:
        hook.remove()
    assert len(calls) == 1


def test_the_solver_is_of_second_order() -> None:
    """Halving the steps' width must cut the error about fourfold, or few steps would not do."""
    errors = []
    whole = noise_schedule("cosine", 1000)
    truth = None
    for steps in ("1000", "80", "40", "20"):
        schedule = noise_schedule("cosine", 1000, respacing=steps)
        denoiser = Denoiser(Gaussian(whole, 0.2), Diffusion(schedule), Labels(torch.zeros(1, 5, 32, 32)))
        found = _last(denoiser, "dpm-solver++")
        if truth is None:
            truth = found
        else:
            errors.append(float((found - truth).abs().mean()))
    assert errors[0] < errors[1] < errors[2]
    assert errors[1] / errors[0] > 2.5
    assert errors[0] < 0.006


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_known_distribution_comes_out(sampler: str) -> None:
    schedule = noise_schedule("cosine", 1000, respacing="100")
    denoiser = Denoiser(Gaussian(schedule, 0.2), Diffusion(schedule), Labels(torch.zeros(1, 5, 32, 32)))
    found = _last(denoiser, sampler)
    assert abs(float(found.mean())) < 0.02
    assert float(found.std()) == pytest.approx(0.2, rel=0.1)


def test_guidance_of_one_is_no_guidance_and_more_adds_labels(small_net: SdmUnet, one_map: torch.Tensor) -> None:
    diffusion = Diffusion(noise_schedule("cosine", 1000))
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain = Denoiser(small_net, diffusion, Labels(one_map))(x, 300)
        null = Denoiser(small_net, diffusion, Labels(torch.zeros_like(one_map)))(x, 300)
        guided = Denoiser(small_net, diffusion, Labels(one_map), guidance=2.5)(x, 300)
    torch.testing.assert_close(guided.noise, null.noise + 2.5 * (plain.noise - null.noise))
    torch.testing.assert_close(guided.log_variance, plain.log_variance)


def test_seeds_belong_to_pictures_not_to_runs() -> None:
    assert image_seed(0, name="a.png") == image_seed(0, name="a.png", number=0)
    seeds = {image_seed(base, name=name, number=n) for base in (0, 1) for name in ("a.png", "b.png") for n in (0, 1)}
    assert len(seeds) == 8
    together = SeededNoise([5, 6], SHAPE, CPU)
    alone = SeededNoise([6], SHAPE, CPU)
    assert torch.equal(together.start()[1:], alone.start())
    assert torch.equal(together.at(3)[1:], alone.at(3))


@pytest.mark.parametrize(
    "wrong", [{"sampler": "euler"}, {"eta": 2.0}, {"guidance": math.nan}, {"guidance": -1.0}]
)  # fmt: skip
def test_a_walk_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"sampler|eta|guidance"):
        Walk(**wrong)  # type: ignore[arg-type]


def test_configurations_that_make_no_network_are_named() -> None:
    with pytest.raises(ValueError, match="no architecture"):
        build("unet")
    with pytest.raises(ValueError, match="takes no argument depth"):
        build("sdm-unet", depth=3)
    with pytest.raises(ValueError, match="channel_mult"):
        build("sdm-unet", image_size=96)
    assert np.prod(build("sdm-unet", image_size=64, model_channels=32, num_head_channels=32, attention_resolutions="8")
                   .time_embed[0].weight.shape) == 128 * 32  # fmt: skip
