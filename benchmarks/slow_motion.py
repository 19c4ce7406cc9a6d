"""Speed and quality of slow motion, in one run on one machine; prints a table, asserts nothing.

Speed: milliseconds an interpolated frame of our Super SloMo path (two frames) and of the packages that ship (a loop of 30
frames), beside the plain algorithm of the paper's published script (resize, one time after the other; two frames), on the
same networks, size and number of threads.
Quality: acquired frames are left out, asked back, and compared inside the sector with blending and repetition.

    python benchmarks/slow_motion.py [--threads 2] [--size 480x640] [--repeats 3] [--loops FOLDER] [--sheet FILE.png]
                                     [--model NAME]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from echonode.core.clip import Clip
from echonode.core.errors import EchonodeError
from echonode.core.package import Package
from echonode.core.results import Loop
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.dicom.video import contact_sheet
from echonode.registry.catalogue import Catalogue
from echonode.tasks.common.sector import luma
from echonode.tasks.slow_motion import published
from echonode.tasks.slow_motion.eligibility import Limits
from echonode.tasks.slow_motion.net import UNet, build
from echonode.tasks.slow_motion.runner import SlowMotionRunner, Trustworthiness, open_runner
from echonode.tasks.slow_motion.superslomo import Convention, SuperSlomo, precision_of

CHECKOUT = Path(__file__).resolve().parents[1]
MEANS = (0.186, 0.184, 0.206)
FACTOR = 4
LOOP_FRAMES = 30  # a second, about a beat
CLASSICAL, LEARNED = "optical-flow", "refined-flow"


def beating(height: int, width: int, *, frames: int) -> np.ndarray:
    """A sector of speckle that beats, RGB."""
    random = np.random.default_rng(1)
    speckle = cv2.GaussianBlur(random.random((height, width)).astype(np.float32), (0, 0), 2)
    speckle = (speckle - speckle.min()) / np.ptp(speckle)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sector = (np.hypot(x - width / 2, y) < 0.95 * height) & (np.abs(x - width / 2) < 0.75 * y)
    pictures = []
    for index in range(frames):
        beat = np.float32(1 + 0.05 * np.sin(index))
        moved = cv2.remap(speckle, width / 2 + (x - width / 2) / beat, y, cv2.INTER_LINEAR)
        pictures.append(np.repeat(np.where(sector, 255 * moved, 0).astype(np.uint8)[:, :, None], 3, axis=2))
    return np.stack(pictures)


def milliseconds(work: Callable[[], object], *, made: int) -> float:
    """How long `work` takes for each of the frames it makes."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start) / made


def speed(*, threads: int, size: tuple[int, int], repeats: int, packages: Sequence[Package]) -> None:
    """Print the table of speed."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    networks: list[UNet] = [
        build(name).eval().requires_grad_(False) for name in ("superslomo-flow", "superslomo-interpolation")
    ]
    two, whole = (
        Clip(frames=beating(*size, frames=count), times_ms=np.arange(count) * 33.3) for count in (2, LOOP_FRAMES)
    )
    cpu = torch.device("cpu")
    precisions = {"float32": torch.float32, "auto": precision_of({"precision": "auto"}, cpu)}
    ours = {
        f"super slomo, {name}": SlowMotionRunner(
            engine=SuperSlomo(
                *networks,
                convention=Convention(means=MEANS, warp="half-pixel"),
                device=cpu,
                precision=precision,
            ),
            limits=Limits(),
            trustworthiness=Trustworthiness(),
        )
        for name, precision in precisions.items()
    }
    shipped = {package.name: open_runner(package, "cpu", threads) for package in packages}

    def run(runner: SlowMotionRunner, clip: Clip) -> None:
        ((result,),) = runner.run([clip], [{"factor": FACTOR}], lambda done, total: None)
        assert isinstance(result, Loop), result
        assert not result.repeated.any()

    def plain() -> None:
        list(published.slowed(*networks, list(two.frames), factor=FACTOR, means=MEANS, convention="half-pixel"))

    # A network that is suited to each loop pays for that once a loop, so the shipped packages are given a whole one.
    ways: dict[str, tuple[Callable[[], None], int]] = {
        "published algorithm": (plain, 1),
        **{name: (partial(run, runner, two), 1) for name, runner in ours.items()},
        **{name: (partial(run, runner, whole), LOOP_FRAMES - 1) for name, runner in shipped.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for work, _ in ways.values():
        work()
    for _ in range(repeats):
        for name, (work, pairs) in ways.items():
            times[name].append(milliseconds(work, made=pairs * (FACTOR - 1)))
    base = statistics.median(times["published algorithm"])
    print(
        f"{size[0]} x {size[1]}, factor {FACTOR}, {threads} threads, median of {repeats}, torch {torch.__version__}, "
        f"auto is {str(precisions['auto']).removeprefix('torch.')}"
    )
    for name, each in times.items():
        middle = statistics.median(each)
        print(
            f"  {name:22s} {middle:8.0f} ms/frame   {base / middle:6.2f} x   (of {', '.join(f'{t:.0f}' for t in each)})"
        )


def loops(folder: Path) -> Iterator[tuple[str, Clip]]:
    """Every DICOM file below `folder` that decodes."""
    for path in sorted(folder.rglob("*.dcm")):
        try:
            yield str(path.relative_to(folder)), read_clip(path, limits=LimitsSection())
        except EchonodeError:
            continue


def decibels(found: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """PSNR of luma inside `where`."""
    error = float(((found.astype(np.float64) - truth)[where] ** 2).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def held_out(clip: Clip, *, step: int, runner: SlowMotionRunner, most: int = 33) -> str | None:
    """PSNR of left-out frames by the model, blending and repetition; None when the loop is refused."""
    count = (min(len(clip.frames), most) - 1) // step * step + 1
    kept = clip.frames[:count:step]
    if len(kept) < 2:
        return None
    # The left-out loop is slower than is allowed: its motion is what is judged, so its times are made eligible.
    sparse = Clip(frames=kept, times_ms=np.arange(len(kept)) * 30.0, regions=clip.regions, mode=clip.mode)
    ((result,),) = runner.run([sparse], [{"factor": step}], lambda done, total: None)
    if not isinstance(result, Loop):
        return None
    scores: list[tuple[float, float, float]] = []
    for index in range(count):
        t = index % step / step
        if t == 0:
            continue
        before, after = (luma(kept[index // step + next_one]).astype(np.float64) for next_one in (0, 1))
        truth = luma(clip.frames[index]).astype(np.float64)
        answers = (luma(result.frames[index]), (1 - t) * before + t * after, before if t <= 0.5 else after)
        scores.append(tuple(decibels(answer, truth, result.sector) for answer in answers))  # type: ignore[arg-type]
    flow, blend, repeat = np.mean(scores, axis=0)
    return f"model {flow:5.2f}  blend {blend:5.2f}  repeat {repeat:5.2f} dB, {int(result.repeated.sum())} repeated"


def quality(folder: Path, *, package: Package, threads: int) -> None:
    """Print PSNR for every loop that is eligible."""
    runner = open_runner(package, "cpu", threads)
    for name, clip in loops(folder):
        for step in (2, 4):
            line = held_out(clip, step=step, runner=runner) if len(clip.frames) > step else None
            if line:
                print(f"  {name:36s} {step} x  {line}")


def sheet(path: Path, *, folder: Path, package: Package, columns: int = 4, frames: int = 12) -> None:
    """Write one contact sheet a loop beside `path`, the middle of the slow loop frame by frame."""
    runner = open_runner(package, "cpu", 2)
    for name, clip in loops(folder):
        with tempfile.TemporaryDirectory() as spool:
            ((result,),) = runner.run([clip], [{"factor": FACTOR, "spool": spool}], lambda done, total: None)
            if not isinstance(result, Loop):
                print(f"  {name:36s} {result}")
                continue
            start = len(result.frames) // 3
            chosen = range(start, min(start + frames, len(result.frames)))
            labels = [f"{result.positions[index]:.2f}{'*' if result.acquired[index] else ''}" for index in chosen]
            picture = contact_sheet(
                [np.array(result.frames[index]) for index in chosen], columns=columns, labels=labels
            )
        target = path.with_name(f"{path.stem}-{name.replace('/', '-').removesuffix('.dcm')}.png")
        Image.fromarray(picture.squeeze()).save(target)
        print(f"  {target}")


def main() -> None:
    """Parse the arguments and run what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="480x640", help="rows x columns")
    parser.add_argument("--repeats", type=int, default=3, help="0 leaves speed out")
    parser.add_argument("--loops", type=Path, default=CHECKOUT.parent / "shared" / "data" / "ultrasound")
    parser.add_argument("--sheet", type=Path, help="write contact sheets instead")
    parser.add_argument("--model", default=LEARNED, help="whose quality, or sheets")
    given = parser.parse_args()
    catalogue = Catalogue([CHECKOUT / "models"])
    package = catalogue.get(given.model)
    if given.sheet:
        sheet(given.sheet, folder=given.loops, package=package)
        return
    height, width = (int(part) for part in given.size.split("x"))
    if given.repeats:
        speed(
            threads=given.threads,
            size=(height, width),
            repeats=given.repeats,
            packages=[catalogue.get(name) for name in (CLASSICAL, LEARNED)],
        )
    if given.loops.is_dir():
        quality(given.loops, package=package, threads=given.threads)


if __name__ == "__main__":
    main()
