"""How fast the phantom scans, and how near its pictures come to real ones.

    python benchmarks/phantom.py [--real FOLDER]

Distances, inside the sector: of histograms, the mean shift in grey levels that turns one into the other (Wasserstein); of
radial spectra, the RMS difference in dB of the mean power spectra of 32 mm windows at 0.5 mm a pixel, each about its mean.
Without a folder of real loops (as in the manifest of the shared data) only the speed is measured.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from echonode.core.clip import SpatialFormat
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.phantom.acquire import acquire
from echonode.phantom.machine import MACHINES, machine
from echonode.phantom.patient import patient
from echonode.phantom.sweep import sweep
from echonode.phantom.views import Level, View

# Path, study, view; the mm a pixel where the file's own calibration is that of another raster.
REAL: tuple[tuple[str, str, View, float | None], ...] = (
    ("adult_xario/I_000031.dcm", "xario", View.PLAX, None),
    ("single/examples_ybr_color.dcm", "pocket", View.A4C, 1.021),
    ("paediatric_hp/I_000001.dcm", "hp", View.PLAX, 0.257),
    ("paediatric_hp/I_000002.dcm", "hp", View.PLAX, 0.257),
    ("stress_acuson/I_000007.dcm", "acuson", View.PLAX, None),
    ("stress_acuson/I_000008.dcm", "acuson", View.PSAX, None),
    ("stress_acuson/I_000009.dcm", "acuson", View.A4C, None),
    ("stress_acuson/I_000010.dcm", "acuson", View.A2C, None),
    ("stress_acuson/I_000011.dcm", "acuson", View.A3C, None),
)
PIXEL_MM = 0.5
WINDOW = 64
SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Print:
    """What one loop's sector looks like: the share of each grey, and its radial spectrum in dB about its mean."""

    name: str
    study: str
    greys: np.ndarray
    spectrum: np.ndarray


def fingerprint(name: str, study: str, frames: np.ndarray, *, mm_per_pixel: float) -> Print:
    """The print of frames uint8 T x H x W x C."""
    frames = frames[:: max(1, len(frames) // SHOWN)][:SHOWN]
    spread = frames.max(axis=-1).astype(int) - frames.min(axis=-1)
    luma = frames.mean(axis=-1).astype(np.float32)
    marked = (spread > 40).any(axis=0)
    lit = ((luma.max(axis=0) - luma.min(axis=0)) > 1).astype(np.uint8)
    size = max(3, round(4 / mm_per_pixel)) | 1
    sector = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((2 * size + 1, 2 * size + 1), np.uint8))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(sector)
    sector = (pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()) & ~marked
    greys = np.histogram(luma[:, sector], bins=256, range=(0, 256))[0]
    scale = mm_per_pixel / PIXEL_MM
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    mask = cv2.resize(sector.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    taper = np.outer(np.hanning(WINDOW), np.hanning(WINDOW))
    power, count = np.zeros((WINDOW, WINDOW)), 0
    for frame in luma:
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=way)
        for y in range(0, small.shape[0] - WINDOW, WINDOW // 2):
            for x in range(0, small.shape[1] - WINDOW, WINDOW // 2):
                if mask[y : y + WINDOW, x : x + WINDOW].mean() < 0.97:
                    continue
                piece = small[y : y + WINDOW, x : x + WINDOW]
                power += np.abs(np.fft.fftshift(np.fft.fft2((piece - piece.mean()) * taper))) ** 2
                count += 1
    middle = np.arange(WINDOW) - WINDOW // 2
    ring = np.hypot(middle[:, None], middle).round().astype(int)
    radial = np.bincount(ring.ravel(), power.ravel())[1 : WINDOW // 2] / np.bincount(ring.ravel())[1 : WINDOW // 2]
    decibels = 10 * np.log10(radial / max(count, 1) + 1e-9)
    return Print(name=name, study=study, greys=greys / greys.sum(), spectrum=decibels - decibels.mean())


def histogram_distance(one: Print, other: Print) -> float:
    """Wasserstein distance in grey levels."""
    return float(np.abs(np.cumsum(one.greys) - np.cumsum(other.greys)).sum())


def spectrum_distance(one: Print, other: Print) -> float:
    """RMS difference of the radial spectra in dB."""
    return float(np.sqrt(((one.spectrum - other.spectrum) ** 2).mean()))


def real_prints(folder: Path) -> list[tuple[Print, View]]:
    """The prints of the real loops that are there."""
    found = []
    for path, study, view, mm in REAL:
        if not (folder / path).is_file():
            continue
        clip = read_clip(folder / path, limits=LimitsSection())
        regions = [region for region in clip.regions if region.spatial_format == SpatialFormat.TWO_D]
        size = mm or 10 * abs(regions[0].delta_y or 0.03)
        found.append(
            (fingerprint(path.split("/")[0] + "/" + Path(path).stem, study, clip.frames, mm_per_pixel=size), view)
        )
    return found


def phantom_prints(views: set[View]) -> list[tuple[Print, View]]:
    """Prints of the named looks in these views, of differing patients and qualities."""
    made = []
    for number, name in enumerate(MACHINES):
        for view in sorted(views):
            loop = acquire(
                patient(seed=40 + number),
                view=view,
                machine=machine(name),
                seed=number,
                frames=SHOWN,
                frame_time_ms=80,
                labels=False,
                quality=0.95 - 0.08 * (number % 4),
            )
            size = 10 * (loop.regions[0].delta_x or 0.0)
            made.append((fingerprint(f"{name}/{view}", name, loop.frames, mm_per_pixel=size), view))
    return made


def speed() -> None:
    """Print the seconds of typical recordings."""
    someone = patient(seed=1)
    acquire(someone, view=View.A4C, machine=machine("slate"), seed=1, frames=2)
    cases = (
        ("60 frames 600x800, slate, with labels", "slate", {"frames": 60}),
        ("60 frames 600x800, slate, without", "slate", {"frames": 60, "labels": False}),
        ("60 frames 600x800, slate, colour", "slate", {"frames": 60, "colour": True}),
        ("60 frames 708x1016, aurora, with labels", "aurora", {"frames": 60}),
        ("32 frames 128x128, with labels", "slate", {"frames": 32, "rows": 128, "columns": 128, "overlays": False}),
        (
            "32 frames 112x112, without",
            "slate",
            {"frames": 32, "rows": 112, "columns": 112, "overlays": False, "labels": False},
        ),
    )
    for title, name, options in cases:
        seconds = []
        for turn in range(3):
            begin = time.perf_counter(), time.process_time()
            acquire(someone, view=View.A4C, machine=machine(name), seed=turn, **options)
            seconds.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
        print(f"{title:45s} {min(seconds)[0]:6.3f} s, of the processor {min(spent for _, spent in seconds):6.3f} s")
    begin = time.perf_counter(), time.process_time()
    sweep(someone, level=Level.LV, machine=machine("slate"), seed=1)
    spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
    print(f"{'M-mode sweep 3 s, 600x800':45s} {spent[0]:6.3f} s, of the processor {spent[1]:6.3f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data/ultrasound")
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if not options.no_speed:
        speed()
    real = real_prints(options.real)
    if not real:
        print("no real loops to compare with")
        return
    made = phantom_prints({view for _, view in real})
    pairs = [(one, other) for (one, _), (other, _) in combinations(real, 2) if one.study != other.study]
    print("\nreal loops of different studies, one with another")
    _summary(pairs)
    print("phantom loops with real loops of the same view")
    _summary([(one, other) for one, view in made for other, its in real if view == its])
    print(
        "\nnearest phantom of each real loop: grey levels, dB; and, for orientation, the nearest real loop of another study"
    )
    for other, _ in real:
        greys = min((histogram_distance(one, other), one.name) for one, _ in made)
        spectra = min((spectrum_distance(one, other), one.name) for one, _ in made)
        peers = [one for one, _ in real if one.study != other.study]
        near = min(histogram_distance(one, other) for one in peers), min(spectrum_distance(one, other) for one in peers)
        print(
            f"{other.name:32s} {greys[0]:5.1f} {greys[1]:14s} {spectra[0]:5.1f} {spectra[1]:14s}"
            f"  | real {near[0]:5.1f} {near[1]:5.1f}"
        )
    print("\nmean grey, share of black (< 8), of bright (> 150); spectrum in dB at 16, 8, 4, 2 and 1.2 mm")
    for one in [one for one, _ in real] + [one for one, _ in made]:
        mean = float((one.greys * np.arange(256)).sum())
        waves = [f"{one.spectrum[round(WINDOW * PIXEL_MM / wave) - 1]:6.1f}" for wave in (16, 8, 4, 2, 1.2)]
        print(f"{one.name:32s} {mean:6.1f} {one.greys[:8].sum():6.2f} {one.greys[150:].sum():6.3f}  {' '.join(waves)}")


def _summary(pairs: list[tuple[Print, Print]]) -> None:
    greys = [histogram_distance(one, other) for one, other in pairs]
    spectra = [spectrum_distance(one, other) for one, other in pairs]
    for title, values, unit in (("histograms", greys, "grey levels"), ("radial spectra", spectra, "dB")):
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
        print(f"  {title:15s} median {middle:5.1f} {unit} (10 %: {low:.1f}, 90 %: {high:.1f}) of {len(values)} pairs")


if __name__ == "__main__":
    main()
