"""Our networks and arithmetic against numbers that the authors' own code gave; a failure means another model runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from echonode.tasks.common.warp import WarpConvention
from echonode.tasks.slow_motion import published
from echonode.tasks.slow_motion.losses import losses, psnr
from echonode.tasks.slow_motion.net import UNet
from echonode.tasks.slow_motion.synthesis import (
    Coefficients,
    Synthesis,
    flows_at,
    fuse,
    times_vector,
)

ECHO_MEANS = (0.186, 0.184, 0.206)
CLOSE = 2e-5
FILES: dict[WarpConvention, str] = {"half-pixel": "false", "legacy": "true"}


@pytest.fixture(scope="module")
def slowmo(parity: Path) -> Path:
    return parity / "slowmo"


def _less_means(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels - np.array(ECHO_MEANS, np.float32).reshape(1, 3, 1, 1))


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    x = np.random.default_rng(7).random((2, 3, 64, 96), dtype=np.float32)
    return _less_means(x[:1]), _less_means(x[1:])


def _same(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("file", ["flow_FC", "interp_AT"])
def test_published_keys_shapes_and_weights(file: str, slowmo: Path, flow_net: UNet, interpolation_net: UNet) -> None:
    published_state = json.loads((slowmo / f"{file}_state_dict.json").read_text())
    network = flow_net if file == "flow_FC" else interpolation_net
    state = network.state_dict()
    assert [entry["key"] for entry in published_state["keys"]] == list(state)
    assert sum(value.numel() for value in state.values()) == published_state["n_params"]
    for entry in published_state["keys"]:
        value = state[entry["key"]].numpy()
        assert list(value.shape) == entry["shape"]
        assert value.astype(np.float64).sum() == pytest.approx(entry["sum"], rel=1e-9), entry["key"]


def test_networks(slowmo: Path, flow_net: UNet, interpolation_net: UNet, pictures: tuple[torch.Tensor, ...]) -> None:
    expected = np.load(slowmo / "nets.npz")
    _same(flow_net(torch.cat(pictures, dim=1)), expected["flow_out"])
    y = torch.from_numpy(np.random.default_rng(8).random((1, 20, 32, 64), dtype=np.float32))
    _same(interpolation_net(y), expected["interp_out"])


@pytest.mark.parametrize("convention", FILES)
def test_all_times_in_one_batch_are_the_published_loop(
    convention: WarpConvention, slowmo: Path, flow_net: UNet, interpolation_net: UNet,
    pictures: tuple[torch.Tensor, torch.Tensor],
) -> None:  # fmt: skip
    expected = np.load(slowmo / f"tloop_align_{FILES[convention]}.npz")
    synthesis = Synthesis(flow_net, interpolation_net, convention=convention)
    found = synthesis.between(synthesis.motion(*pictures), guides=pictures, pictures=pictures, times=[0.25, 0.5])
    for place, name in enumerate(("t0p25", "t0p5")):
        _same(found.frames[place : place + 1], expected[f"frame_{name}"])
        _same(found.answer[place : place + 1, :, ::2, ::2], expected[f"interp_{name}"])
        _same(found.warped0[place : place + 1, :, ::2, ::2], expected[f"g0_{name}"])


@pytest.mark.parametrize("convention", FILES)
def test_published_order_of_work_gives_the_same(
    convention: WarpConvention, slowmo: Path, flow_net: UNet, interpolation_net: UNet,
    pictures: tuple[torch.Tensor, torch.Tensor],
) -> None:  # fmt: skip
    expected = np.load(slowmo / f"tloop_align_{FILES[convention]}.npz")
    flows = flow_net(torch.cat(pictures, dim=1))
    found = published.between(flow_net, interpolation_net, *pictures, t=0.25, flows=flows, convention=convention)
    _same(found, expected["frame_t0p25"])


@pytest.mark.parametrize("convention", FILES)
def test_fusion_with_large_motion(convention: WarpConvention, slowmo: Path) -> None:
    expected = np.load(slowmo / f"fusion_align_{FILES[convention]}.npz")
    g = np.random.default_rng(9)
    picture0 = _less_means(g.random((1, 3, 40, 56), dtype=np.float32))
    picture1 = _less_means(g.random((1, 3, 40, 56), dtype=np.float32))
    flow = torch.from_numpy((g.standard_normal((1, 4, 40, 56)) * 6).astype(np.float32))
    answer = torch.from_numpy((g.standard_normal((1, 5, 40, 56)) * 2).astype(np.float32))
    for t, name in ((0.25, "0p25"), (0.5, "0p5"), (0.875, "0p875")):
        time = times_vector([t], picture0)
        to0, to1 = flows_at(time, flow[:, :2], flow[:, 2:])
        frame = fuse(picture0, picture1, t=time, to0=to0, to1=to1, answer=answer, convention=convention)
        _same(frame, expected[next(key for key in expected.files if key.startswith("frame") and key.endswith(name))])


def test_coefficients_of_training(slowmo: Path) -> None:
    table = json.loads((slowmo / "coeffs.json").read_text())
    c = Coefficients.at(torch.tensor(table["t"], dtype=torch.float64))
    for name, found in {"C00": c.c00, "C01": c.c01, "C10": c.c10, "C11": c.c11, "w0": c.w0, "w1": c.w1}.items():
        np.testing.assert_allclose(found.numpy(), table[name], atol=1e-12)


def test_losses(
    slowmo: Path, flow_net: UNet, interpolation_net: UNet, pictures: tuple[torch.Tensor, torch.Tensor]
) -> None:
    expected = json.loads((slowmo / "losses.json").read_text())
    target = _less_means(np.random.default_rng(expected["target_seed"]).random((1, 3, 64, 96), dtype=np.float32))
    synthesis = Synthesis(flow_net, interpolation_net, convention="half-pixel")
    motion = synthesis.motion(*pictures)
    found = synthesis.between(motion, guides=pictures, pictures=pictures, times=[0.5])
    terms = losses(
        found, target, picture0=pictures[0], picture1=pictures[1], forward=motion.forward,
        backward=motion.backward, convention="half-pixel",
    )  # fmt: skip
    assert float(terms.reconstruction) == pytest.approx(expected["recon"], abs=CLOSE)
    assert float(terms.warping) == pytest.approx(expected["warp"], abs=CLOSE)
    assert float(terms.smoothness) == pytest.approx(expected["smooth"], abs=CLOSE)
    assert float(terms.total) == pytest.approx(expected["total_without_perceptual"], rel=CLOSE)
    assert psnr(found.frames, target) == pytest.approx(expected["psnr"], abs=1e-3)


def test_published_path_from_bytes_to_bytes(slowmo: Path, flow_net: UNet, interpolation_net: UNet) -> None:
    expected = np.load(slowmo / "e2e_uint8_sf4.npz")
    source = list(expected["src"])
    resized = published.squeezed(source[0], means=ECHO_MEANS)[0]
    _same(resized[:, ::2, ::2], expected["resized_first"])
    found = np.stack(
        list(published.slowed(flow_net, interpolation_net, source, factor=4, means=ECHO_MEANS, convention="half-pixel"))
    )
    off = np.abs(found.astype(int) - expected["out"].astype(int))
    assert found.shape == expected["out"].shape
    assert off.max() <= 1
    assert (off == 0).mean() >= 0.995


def test_grey_layers_are_three_equal_channels(flow_net: UNet, interpolation_net: UNet) -> None:
    light = torch.from_numpy(np.random.default_rng(3).random((2, 1, 96, 96), dtype=np.float32))
    means = torch.tensor(ECHO_MEANS).view(1, 3, 1, 1)
    three = (light[:1].expand(-1, 3, -1, -1) - means, light[1:].expand(-1, 3, -1, -1) - means)
    centre = sum(ECHO_MEANS) / 3
    one = (light[:1] - centre, light[1:] - centre)
    as_published = Synthesis(flow_net, interpolation_net, convention="exact")
    folded = Synthesis(flow_net, interpolation_net, convention="exact", grey_means=ECHO_MEANS)
    motion, folded_motion = as_published.motion(*three), folded.motion(*one)
    inner = (..., slice(32, 64), slice(32, 64))  # zero padding differs: a mean there, a grey of all means here
    torch.testing.assert_close(folded_motion.forward[inner], motion.forward[inner], atol=2e-3, rtol=0)
    frames = as_published.between(motion, guides=three, pictures=three, times=[0.3]).frames + means
    again = folded.between(folded_motion, guides=one, pictures=one, times=[0.3]).frames + centre
    torch.testing.assert_close(again[inner], frames[:, 1:2][inner], atol=2e-3, rtol=0)
