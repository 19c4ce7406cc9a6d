"""Speed of inference beside the plain published algorithms on the same networks, device and threads, in one run.

Each case alternates both ways and prints the medians, their ratio, and how far the results are apart.

* Semantic diffusion (64 pixels): 1000 plain ancestral steps, counted as 1000 times the median of 20 of them, beside our
  whole pictures: terms of the labels kept, 50 ancestral steps, or 25 of DPM-Solver++. Fewer steps make another picture
  of the same distribution, so the difference that is printed is that of keeping the terms, at equal steps.
* QuickNAT over an M-mode strip (benchmarks/inference_mmode.py).
* Super SloMo at 4x: the published script's order of work beside the runner's, at each precision.

    python benchmarks/inference.py [--threads 2] [--repeats 5] [--device cpu] [--only sdm,quicknat,superslomo]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from benchmarks import inference_mmode, slow_motion  # noqa: E402
from echonode.core.clip import Clip  # noqa: E402
from echonode.core.results import Loop  # noqa: E402
from echonode.tasks.common.parity import filled  # noqa: E402
from echonode.tasks.common.sector_rule import label_map  # noqa: E402
from echonode.tasks.slow_motion import net as slow_motion_net  # noqa: E402
from echonode.tasks.slow_motion import published  # noqa: E402
from echonode.tasks.slow_motion.eligibility import Limits  # noqa: E402
from echonode.tasks.slow_motion.runner import SlowMotionRunner, Trustworthiness  # noqa: E402
from echonode.tasks.slow_motion.superslomo import Convention, SuperSlomo, precision_of  # noqa: E402
from echonode.tasks.synthesis.blocks import Labels  # noqa: E402
from echonode.tasks.synthesis.diffusion import Denoiser, Diffusion  # noqa: E402
from echonode.tasks.synthesis.net import build  # noqa: E402
from echonode.tasks.synthesis.noise import SeededNoise  # noqa: E402
from echonode.tasks.synthesis.prepare import one_hot  # noqa: E402
from echonode.tasks.synthesis.runner import SynthesisRunner  # noqa: E402
from echonode.tasks.synthesis.samplers import Walk, walk  # noqa: E402
from echonode.tasks.synthesis.schedule import noise_schedule  # noqa: E402

SIDE = 64
PLAIN_STEPS, WHOLE_WALK = 20, 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Seconds of the plain way and of ours (medians), and how far apart the results are, in words."""

    name: str
    plain: float
    ours: float
    difference: str

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.plain / self.ours


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def diffusion_cases(*, repeats: int, device: torch.device) -> Iterator[Case]:
    """Semantic diffusion: whole pictures beside 1000 plain steps."""
    plain_net = filled(build("sdm-unet", image_size=SIDE, model_channels=32, num_head_channels=32)).to(device)
    ours_net = filled(build("sdm-unet", image_size=SIDE, model_channels=32, num_head_channels=32)).to(device)
    runner = SynthesisRunner(
        network=ours_net.to(memory_format=torch.channels_last), device=device, usual=Walk(), guided=False, view="",
        model="",
    )  # fmt: skip
    codes = label_map(SIDE, SIDE, 7).astype(np.uint8)
    labels = one_hot(codes, 5).to(device)
    whole = Diffusion(noise_schedule("cosine", WHOLE_WALK), device)
    noise = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).to(device)

    @torch.inference_mode()
    def plain_step(step: int) -> None:
        found = Denoiser(plain_net, whole, Labels(labels))(noise, step)
        whole.ancestral(found, torch.tensor([step], device=device), noise)

    ways = {
        "50 ancestral steps": Walk(respacing="50"),
        "25 steps of DPM-Solver++": Walk(sampler="dpm-solver++", respacing="25"),
    }
    steps: list[float] = []
    pictures: dict[str, list[float]] = {name: [] for name in ways}
    plain_step(WHOLE_WALK - 1)
    for each in ways.values():
        runner.sampled([codes], seeds=[1], asked=each, progress=nobody)
    for _ in range(repeats):
        steps += [seconds(lambda at=at: plain_step(at), device) for at in range(0, 1000, 1000 // PLAIN_STEPS)]  # type: ignore[misc]
        for name, each in ways.items():
            work = lambda each=each: runner.sampled([codes], seeds=[1], asked=each, progress=nobody)  # noqa: E731
            pictures[name].append(seconds(work, device))
    few = Diffusion(noise_schedule("cosine", WHOLE_WALK, respacing="10"), device)
    with torch.inference_mode():
        ends = [
            list(walk(Denoiser(ours_net, few, Labels(labels, keep=keep)),
                      SeededNoise([1], (3, SIDE, SIDE), device), sampler="ancestral"))[-1]
            for keep in (False, True)
        ]  # fmt: skip
    off = float((ends[0] - ends[1]).abs().max())
    base = WHOLE_WALK * statistics.median(steps)
    for name, times in pictures.items():
        words = f"kept terms against computed anew, 10 steps: {off:.1e}"
        yield Case(name=f"semantic diffusion, {name}", plain=base, ours=statistics.median(times), difference=words)


def strip_cases(*, repeats: int, device: torch.device) -> Iterator[Case]:
    """QuickNAT over a strip."""
    found = inference_mmode.measured(repeats=repeats, device=str(device))
    yield Case(
        name="QuickNAT strip",
        plain=found.plain,
        ours=found.ours,
        difference=f"probabilities, largest {found.largest:.1e}; mask pixels that differ {100 * found.pixels:.4f} %",
    )


def slow_motion_cases(*, repeats: int, device: torch.device) -> Iterator[Case]:
    """Super SloMo: three pictures between two, 480 x 640."""
    networks = [
        filled(slow_motion_net.build(name)).to(device) for name in ("superslomo-flow", "superslomo-interpolation")
    ]
    frames = slow_motion.beating(480, 640, frames=2)
    clip = Clip(frames=frames, times_ms=np.arange(2) * 33.3)

    def plain() -> list[np.ndarray]:
        return list(
            published.slowed(*networks, list(frames), factor=4, means=slow_motion.MEANS, convention="half-pixel")
        )

    def runner_of(precision: torch.dtype) -> SlowMotionRunner:
        engine = SuperSlomo(
            networks[0], networks[1], convention=Convention(means=slow_motion.MEANS, warp="half-pixel"),
            device=device, precision=precision,
        )  # fmt: skip
        # Random weights make random motion: the loop would be repeated instead of interpolated.
        trusting = Trustworthiness(disagreement_pixels=1e6, repeat_fraction=1.0)
        return SlowMotionRunner(engine=engine, limits=Limits(), trustworthiness=trusting)

    precisions = {torch.float32, precision_of({"precision": "auto"}, device)}
    runners = {str(each).removeprefix("torch."): runner_of(each) for each in sorted(precisions, key=str)}

    def ours(name: str) -> np.ndarray:
        ((result,),) = runners[name].run([clip], [{"factor": 4}], nobody)
        if not isinstance(result, Loop):
            raise SystemExit(f"the loop was refused: {result}")
        return result.frames

    truth = plain()
    pictures = {name: ours(name) for name in runners}
    base: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(repeats):
        base.append(seconds(plain, device))
        for name in runners:
            times[name].append(seconds(lambda name=name: ours(name), device))  # type: ignore[misc]
    for name, each in times.items():
        off = np.abs(pictures[name][1:4].astype(int) - np.stack(truth)[1:4].astype(int))
        sector = frames[0].max(axis=2) > 0
        words = f"levels in the sector, mean {off[:, sector].mean():.2f} (published truncates, ours rounds)"
        yield Case(
            name=f"Super SloMo 4x, {name}", plain=statistics.median(base), ours=statistics.median(each),
            difference=words,
        )  # fmt: skip


def nobody(done: int, total: int) -> None:
    """Nobody wants to know."""


def machine(device: torch.device) -> str:
    """What it ran on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return model[0].partition(":")[2].strip() if model else platform.processor()


def main() -> None:
    """Print the table."""
    cases = {"sdm": diffusion_cases, "quicknat": strip_cases, "superslomo": slow_motion_cases}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default=",".join(cases))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = torch.device(asked.device)
    print(f"{machine(device)}, {asked.threads} threads, torch {torch.__version__}, median of {asked.repeats}")
    print(f"{'case':<48}{'plain s':>10}{'ours s':>10}{'ratio':>8}  difference")
    for name in asked.only.split(","):
        for case in cases[name](repeats=asked.repeats, device=device):
            print(
                f"{case.name:<48}{case.plain:>10.2f}{case.ours:>10.3f}{case.ratio:>8.2f}  {case.difference}", flush=True
            )


if __name__ == "__main__":
    main()
