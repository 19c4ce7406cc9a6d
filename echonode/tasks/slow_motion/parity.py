"""Our networks and arithmetic of Super SloMo against what the authors' own code gave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.parity import ParityRow
from echonode.tasks.common.parity import compared, difference, filled, read_arrays, read_json, read_set, state_row
from echonode.tasks.common.warp import WarpConvention
from echonode.tasks.slow_motion import published
from echonode.tasks.slow_motion.losses import losses, psnr
from echonode.tasks.slow_motion.net import UNet, build
from echonode.tasks.slow_motion.synthesis import Coefficients, Synthesis, flows_at, fuse, times_vector

FLOW, INTERPOLATION, WHOLE = "superslomo-flow", "superslomo-interpolation", "super slomo"
MEANS: Final = (0.186, 0.184, 0.206)
CONVENTIONS: Final[Mapping[str, WarpConvention]] = {"align_false": "half-pixel", "align_true": "legacy"}
CLOSE: Final = 2e-5
COEFFICIENT: Final = 1e-12
OFF_BY_ONE: Final = 0.005  # share of bytes that may be off, by one level
TOTAL: Final = 2e-5  # of the weighted sum, relative
DECIBELS: Final = 1e-3
FUSION_FLOW, FUSION_ANSWER = 6, 2

Arrays = Mapping[str, NDArray[Any]]
Pair = tuple[torch.Tensor, torch.Tensor]


def check(folder: Path, whole: bool) -> Iterator[ParityRow]:
    """A row for every quantity of `folder`/slowmo; none where the set has no such folder.

    Raises:
        BadInput: a file of the set is missing or unreadable.
    """
    vectors = folder / "slowmo"
    if not vectors.is_dir():
        return
    seed = read_set(folder).seed
    flow, interpolation = filled(build(FLOW)), filled(build(INTERPOLATION))
    yield state_row(FLOW, flow, read_json(vectors / "flow_FC_state_dict.json")["keys"])
    yield state_row(INTERPOLATION, interpolation, read_json(vectors / "interp_AT_state_dict.json")["keys"])
    loops = {name: read_arrays(vectors / f"tloop_{name}.npz") for name in CONVENTIONS}
    _, _, height, width = next(array for name, array in loops["align_false"].items() if name.startswith("frame")).shape
    x = np.random.default_rng(seed).random((2, 3, height, width), dtype=np.float32)
    pictures = (_less_means(x[:1]), _less_means(x[1:]))
    with torch.inference_mode():
        yield from _networks(flow, interpolation, pictures, read_arrays(vectors / "nets.npz"), seed)
        for name, arrays in loops.items():
            yield from _loop(flow, interpolation, pictures, arrays, CONVENTIONS[name])
        for name, convention in CONVENTIONS.items():
            yield from _fusion(read_arrays(vectors / f"fusion_{name}.npz"), convention, seed)
        yield from _coefficients(read_json(vectors / "coeffs.json"))
        yield from _losses(flow, interpolation, pictures, read_json(vectors / "losses.json"))
        for file in sorted(vectors.glob("e2e_uint8_sf*.npz")):
            yield from _bytes(flow, interpolation, read_arrays(file), int(file.stem.rpartition("sf")[2]))


def _networks(flow: UNet, interpolation: UNet, pictures: Pair, arrays: Arrays, seed: int) -> Iterator[ParityRow]:
    yield compared(FLOW, "output", flow(torch.cat(pictures, dim=1)), arrays["flow_out"], tolerance=CLOSE)
    count, _, height, width = arrays["interp_out"].shape
    y = np.random.default_rng(seed + 1).random((count, 20, height, width), dtype=np.float32)
    found = interpolation(torch.from_numpy(y))
    yield compared(INTERPOLATION, "output", found, arrays["interp_out"], tolerance=CLOSE)


def _loop(
    flow: UNet, interpolation: UNet, pictures: Pair, arrays: Arrays, convention: WarpConvention
) -> Iterator[ParityRow]:
    times = _times(arrays, "frame_t")
    synthesis = Synthesis(flow, interpolation, convention=convention)
    motion = synthesis.motion(*pictures)
    found = synthesis.between(motion, guides=pictures, pictures=pictures, times=list(times.values()))
    flows = flow(torch.cat(pictures, dim=1))
    for place, (name, t) in enumerate(times.items()):
        label = f"{convention}, t {t:g}"
        frame = arrays[f"frame_t{name}"]
        yield compared(WHOLE, f"{label} frame", found.frames[place : place + 1], frame, tolerance=CLOSE)
        one = published.between(flow, interpolation, *pictures, t=t, flows=flows, convention=convention)
        yield compared(WHOLE, f"{label} frame, published order", one, frame, tolerance=CLOSE)
        answer = found.answer[place : place + 1, :, ::2, ::2]
        yield compared(INTERPOLATION, f"{label} answer", answer, arrays[f"interp_t{name}"], tolerance=CLOSE)
        warped = found.warped0[place : place + 1, :, ::2, ::2]
        yield compared(WHOLE, f"{label} warp", warped, arrays[f"g0_t{name}"], tolerance=CLOSE)


def _fusion(arrays: Arrays, convention: WarpConvention, seed: int) -> Iterator[ParityRow]:
    g = np.random.default_rng(seed + 2)
    _, _, height, width = next(array for name, array in arrays.items() if name.startswith("frame")).shape
    picture0 = _less_means(g.random((1, 3, height, width), dtype=np.float32))
    picture1 = _less_means(g.random((1, 3, height, width), dtype=np.float32))
    flow = torch.from_numpy((g.standard_normal((1, 4, height, width)) * FUSION_FLOW).astype(np.float32))
    answer = torch.from_numpy((g.standard_normal((1, 5, height, width)) * FUSION_ANSWER).astype(np.float32))
    for name, t in _times(arrays, "frame_t").items():
        time = times_vector([t], picture0)
        to0, to1 = flows_at(time, flow[:, :2], flow[:, 2:])
        label = f"fusion, {convention}, t {t:g}"
        for key, found in (("ft0", to0), ("ft1", to1)):
            if f"{key}_t{name}" in arrays:
                yield compared(WHOLE, f"{label} {key}", found, arrays[f"{key}_t{name}"], tolerance=CLOSE)
        frame = fuse(picture0, picture1, t=time, to0=to0, to1=to1, answer=answer, convention=convention)
        yield compared(WHOLE, f"{label} frame", frame, arrays[f"frame_t{name}"], tolerance=CLOSE)


def _coefficients(table: Mapping[str, list[float]]) -> Iterator[ParityRow]:
    c = Coefficients.at(torch.tensor(table["t"], dtype=torch.float64))
    for name, found in {"C00": c.c00, "C01": c.c01, "C10": c.c10, "C11": c.c11, "w0": c.w0, "w1": c.w1}.items():
        yield compared(WHOLE, f"coefficient {name}", found, table[name], tolerance=COEFFICIENT)


def _losses(flow: UNet, interpolation: UNet, pictures: Pair, expected: Mapping[str, float]) -> Iterator[ParityRow]:
    random = np.random.default_rng(int(expected["target_seed"]))
    target = _less_means(random.random(tuple(pictures[0].shape), dtype=np.float32))
    synthesis = Synthesis(flow, interpolation, convention="half-pixel")
    motion = synthesis.motion(*pictures)
    found = synthesis.between(motion, guides=pictures, pictures=pictures, times=[0.5])
    terms = losses(
        found, target, picture0=pictures[0], picture1=pictures[1], forward=motion.forward,
        backward=motion.backward, convention="half-pixel",
    )  # fmt: skip
    for name, term in (("recon", terms.reconstruction), ("warp", terms.warping), ("smooth", terms.smoothness)):
        yield compared(WHOLE, f"loss {name}", term, expected[name], tolerance=CLOSE)
    total = expected["total_without_perceptual"]
    yield compared(WHOLE, "loss total", terms.total / total, 1.0, tolerance=TOTAL, note="relative")
    mse = torch.nn.functional.mse_loss(found.frames, target)
    yield compared(WHOLE, "mean square error", mse, expected["mse"], tolerance=CLOSE)
    yield compared(WHOLE, "PSNR", psnr(found.frames, target), expected["psnr"], tolerance=DECIBELS, note="dB")


def _bytes(flow: UNet, interpolation: UNet, arrays: Arrays, factor: int) -> Iterator[ParityRow]:
    source = list(arrays["src"])
    resized = published.squeezed(source[0], means=MEANS)[0]
    yield compared(WHOLE, "bytes, resized", resized[:, ::2, ::2], arrays["resized_first"], tolerance=CLOSE)
    slowed = published.slowed(flow, interpolation, source, factor=factor, means=MEANS, convention="half-pixel")
    found = np.stack(list(slowed))
    expected = arrays["out"]
    yield ParityRow(network=WHOLE, quantity="bytes", difference=difference(found, expected), tolerance=1, note="levels")
    off = float((found != expected).mean()) if found.shape == expected.shape else 1.0
    yield ParityRow(network=WHOLE, quantity="bytes that differ", difference=off, tolerance=OFF_BY_ONE, note="share")


def _times(arrays: Arrays, prefix: str) -> dict[str, float]:
    """Times by how the names of the arrays write them: 0p25 is 0.25."""
    found = (re.fullmatch(rf"{prefix}(\d+p\d+)", name) for name in arrays)
    return {match[1]: float(match[1].replace("p", ".")) for match in found if match}


def _less_means(pixels: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(pixels - np.array(MEANS, np.float32).reshape(1, 3, 1, 1))
