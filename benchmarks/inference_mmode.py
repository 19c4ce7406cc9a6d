"""Speed of QuickNAT over an M-mode strip beside the plain published order of work, on the same network and windows.

Plain: one window after the other, the bare module, the graph for gradients kept (the published script never turns it
off); a second baseline turns it off. Ours: what the M-mode runner does. All in stored statistics and 0 to 1, in which
the published test figures were computed. Runs alternate; medians.

    python benchmarks/inference_mmode.py [--threads 2] [--repeats 5] [--columns 900] [--device cpu]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from echonode.tasks.common.parity import filled
from echonode.tasks.mmode.net import QuickNat, build
from echonode.tasks.mmode.networks import Networks, Sampling
from echonode.tasks.mmode.prepare import network_input
from echonode.tasks.mmode.windows import Grey, cut, joined, nearest, published_tiles, resized

HEIGHT = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """Seconds of each way (medians), and how far the probabilities are apart; `half` is ours in bfloat16."""

    windows: int
    plain: float
    plain_without_graph: float
    ours: float
    largest: float
    tail: float
    pixels: float
    half: float
    half_largest: float

    @property
    def ratio(self) -> float:
        """How many times faster than the plain published order of work."""
        return self.plain / self.ours


def beating(*, height: int = HEIGHT, columns: int) -> Grey:
    """Bright walls with speckle about a dark cavity that beats."""
    random = np.random.default_rng(1)
    row = np.arange(height)[:, None] + 0.5
    half = height * (0.25 + 0.06 * np.cos(2 * np.pi * np.arange(columns) / 90))
    cavity = np.abs(row - height / 2) < half
    light = np.where(cavity, random.integers(0, 40, cavity.shape), random.integers(90, 256, cavity.shape))
    return np.asarray(light, np.float64)


def plain_answers(network: QuickNat, strip: Grey) -> list[Grey]:
    """Probabilities (256, 256) window by window."""
    found = []
    device = next(network.parameters()).device
    for tile in published_tiles(height=strip.shape[0], length=strip.shape[1]):
        picture = torch.from_numpy(network_input(resized(cut(strip, tile))))[None, None].to(device)
        found.append(torch.sigmoid(network(picture)).detach().cpu().numpy()[0, 0].astype(np.float64))
    return found


def our_answers(networks: Networks, strip: Grey) -> list[Grey]:
    """The same from the runner's networks."""
    tiles = published_tiles(height=strip.shape[0], length=strip.shape[1])
    windows = [resized(cut(strip, tile)) for tile in tiles]
    (found,) = networks.cavity(windows, mode="reference", preparation="clinical", told=_nobody)
    return found


def mask_of(answers: list[Grey], strip: Grey) -> np.ndarray:
    """The strip's mask, joined as published."""
    height, length = strip.shape
    tiles = published_tiles(height=height, length=length)
    return joined([nearest(np.round(answer), height=height) for answer in answers], tiles)


def measured(*, columns: int = 900, repeats: int = 5, device: str = "cpu") -> Strip:
    """Both ways in turn on one strip; torch's threads are the caller's."""
    strip = beating(columns=columns)
    network = filled(build("quicknat"))
    ours = filled(build("quicknat"))
    assert isinstance(network, QuickNat)
    assert isinstance(ours, QuickNat)
    network.to(device).requires_grad_(True)
    networks, halved = (
        Networks(segmenter=ours, judges=[], device=torch.device(device), sampling=Sampling(), precision=precision)
        for precision in (torch.float32, torch.bfloat16)
    )

    def without_graph() -> list[Grey]:
        with torch.no_grad():
            return plain_answers(network, strip)

    ways: dict[str, Callable[[], list[Grey]]] = {
        "plain": lambda: plain_answers(network, strip),
        "without graph": without_graph,
        "ours": lambda: our_answers(networks, strip),
        "bfloat16": lambda: our_answers(halved, strip),
    }
    rounding = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # for both alike; the runner switches it off by itself
    answers = {name: way() for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    torch.backends.cudnn.allow_tf32 = rounding
    off = np.abs(np.stack(answers["plain"]) - np.stack(answers["ours"]))
    differing = mask_of(answers["plain"], strip) != mask_of(answers["ours"], strip)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return Strip(
        windows=len(answers["ours"]),
        plain=median["plain"],
        plain_without_graph=median["without graph"],
        ours=median["ours"],
        largest=float(off.max()),
        tail=float(np.quantile(off, 0.999)),
        pixels=float(differing.mean()),
        half=median["bfloat16"],
        half_largest=float(np.abs(np.stack(answers["plain"]) - np.stack(answers["bfloat16"])).max()),
    )


def _nobody() -> None:
    """Nobody wants to know."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--columns", type=int, default=900)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = measured(columns=asked.columns, repeats=asked.repeats, device=asked.device)
    print(f"QuickNAT, strip of {HEIGHT} x {asked.columns} pixels, {found.windows} windows, {asked.device}")
    print(f"{'way':<36}{'s a strip':>10}{'faster':>8}")
    for name, value in (
        ("plain published, graph kept", found.plain),
        ("plain published, no graph", found.plain_without_graph),
        ("ours", found.ours),
        ("ours, bfloat16", found.half),
    ):
        print(f"{name:<36}{value:>10.2f}{found.plain / value:>8.2f}")
    print(
        f"difference of probabilities: largest {found.largest:.1e}, 99.9 % below {found.tail:.1e}; "
        f"mask pixels that differ: {100 * found.pixels:.4f} %; in bfloat16 {found.half_largest:.1e}"
    )


if __name__ == "__main__":
    main()
