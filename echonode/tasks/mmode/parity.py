"""Our networks and arithmetic of M-mode against numbers that the authors' own code gave.

The rules are the set's: which generator draws which input from the seed s (inputs of the networks s and s + 1, the strip
s + 10, masks s + 30 + i, frames s + 40), which parts of an answer were kept, and how close ours must come. A tie between
two pixels of a pooling window may fall the other way, so QuickNAT is held to its 99.9th percentile and, more loosely, to
its largest difference.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.parity import ParityRow
from echonode.tasks.common.parity import (
    VectorSet,
    compared,
    difference,
    filled,
    read_arrays,
    read_json,
    read_set,
    state_row,
)
from echonode.tasks.mmode.beats import published_extrema, published_rates
from echonode.tasks.mmode.examination import Instant
from echonode.tasks.mmode.folded import FoldedQuickNat
from echonode.tasks.mmode.net import build, use_statistics
from echonode.tasks.mmode.networks import Networks, Sampling
from echonode.tasks.mmode.prepare import PUBLISHED_LUMA, grey_of, network_input, quality_input
from echonode.tasks.mmode.quality import Spread, Window, mean_row, published_windows
from echonode.tasks.mmode.species import MOUSE
from echonode.tasks.mmode.stitching import stitched_exactly
from echonode.tasks.mmode.trace import counted_lvid
from echonode.tasks.mmode.volumes import teichholz
from echonode.tasks.mmode.windows import Grey, cut, joined, nearest, published_tiles, resized

SINGLE: Final = 1e-5
DOUBLE: Final = 1e-6
TIES: Final = 1e-3
RELATIVE: Final = 1e-9
QUANTILE: Final = 0.999
THREADS: Final = 2
CARDIONET, QUICKNAT, FEATURES = "cardionet", "quicknat", "M-mode features"


def check(folder: Path, whole: bool) -> Iterable[ParityRow]:
    """Every quantity of the set in `folder`; nothing when it has no M-mode. `whole` changes nothing: none is heavy.

    Runs with two threads, as the set was made: with another number a convolution adds up in another order, and a tie of
    a pooling window that falls the other way moves logits by more than the tolerance.
    """
    if not (folder / "mmode").is_dir():
        return
    vectors = read_set(folder)
    vectors = VectorSet(folder=folder / "mmode", seed=vectors.seed, video_constant=vectors.video_constant)
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with torch.inference_mode():
            yield from _cardionet(vectors)
            yield from _quicknat(vectors)
            yield from _window(vectors)
    finally:
        torch.set_num_threads(threads)
    features = read_json(vectors.folder / "features.json")
    yield from _trace(vectors, features)
    yield from _tiles(vectors, features)
    yield from _frames(vectors, features)


def _cardionet(vectors: VectorSet) -> Iterator[ParityRow]:
    network = _network("cardionet")
    listed = read_json(vectors.folder / "quality_cardionet_state_dict.json")["keys"]
    yield state_row(CARDIONET, network, listed)
    pictures = _uniform(vectors.seed, (2, 1, 256, 256)) * 2 - 1
    expected = read_arrays(vectors.folder / "cardionet.npz")
    blocks = network.blocks(pictures)
    kept = {
        "block1_s": blocks[0][:1, :16, ::8, ::8],
        "block2_s": blocks[1][:1, :, ::8, ::8],
        "block3_s": blocks[2][:1, ::4, ::4, ::4],
        "block4": blocks[3][:1, ::4],
    }
    logit, probability = network(pictures)
    for name, found in (*kept.items(), ("logit", logit), ("prob", probability)):
        yield compared(CARDIONET, name, found, expected[name], tolerance=SINGLE)
    network = network.double()
    use_statistics(network, "batch")
    answers = torch.cat([network(picture[None].double())[0] for picture in pictures])
    theirs = read_arrays(vectors.folder / "cardionet_batchstat_fp64.npz")["logit"]
    yield compared(CARDIONET, "logit, batchstat, float64", answers, theirs, tolerance=DOUBLE)


def _quicknat(vectors: VectorSet) -> Iterator[ParityRow]:
    network = _network("quicknat")
    listed = read_json(vectors.folder / "segmentation_quicknat_state_dict.json")["keys"]
    yield state_row(QUICKNAT, network, listed)
    pictures = _uniform(vectors.seed + 1, (1, 1, 64, 96))
    expected = read_arrays(vectors.folder / "quicknat_eval.npz")
    levels = network.encoded(pictures)
    yield compared(QUICKNAT, "encoder 1", levels[0].skip[:, ::4, ::4, ::4], expected["enc1_s"], tolerance=SINGLE)
    yield compared(QUICKNAT, "encoder 2, pooled", levels[1].pooled[:, ::2, ::2, ::2], expected["enc2_pool_s"],
                   tolerance=SINGLE)  # fmt: skip
    differing = np.count_nonzero(levels[0].indices[:, 0].numpy() != expected["idx1_s"])
    yield ParityRow(
        network=QUICKNAT, quantity="indices of encoder 1", difference=differing / expected["idx1_s"].size,
        tolerance=TIES, note="share that differs",
    )  # fmt: skip
    plain = network(pictures)
    yield from _logits("logits", plain, expected["logits"])
    yield _clinical("logits, clinical path", FoldedQuickNat(network)(pictures), plain)
    use_statistics(network, "batch")
    expected = read_arrays(vectors.folder / "quicknat_batchstat_nodrop.npz")
    yield from _logits("logits, batchstat", network(pictures), expected["logits"])
    yield from _logits("logits, batchstat, 0 to 255", network(255 * pictures), expected["logits_input_x255"])


def _window(vectors: VectorSet) -> Iterator[ParityRow]:
    expected = read_arrays(vectors.folder / "window_predict_eval.npz")
    window = resized(np.ascontiguousarray(_strip(vectors)[:, :200]))
    yield compared(FEATURES, "window, bicubic", window[::4, ::4], expected["resized_s"], tolerance=1e-4,
                   note="grey levels, stored as float32")  # fmt: skip
    extremes = np.array([window.min(), window.max()])
    yield compared(FEATURES, "window, range", extremes, expected["resized_minmax"], tolerance=RELATIVE * 255)
    seen = quality_input(window)
    yield compared(CARDIONET, "window as it is seen", seen[::4, ::4], expected["quality_in_s"], tolerance=DOUBLE)
    networks = Networks(segmenter=None, judges=[_network("cardionet")], device=torch.device("cpu"), sampling=Sampling())
    (probability,) = networks.quality([window], mode="reference", preparation="published")
    yield compared(CARDIONET, "probability of the window", probability, expected["quality_prob"], tolerance=DOUBLE)
    network = _network("quicknat")
    for raw, name in ((True, "seg_logits_x255_s"), (False, "seg_logits_div255_s")):
        picture = torch.from_numpy(network_input(window, raw=raw))[None, None]
        found = network(picture)
        scale = max(1.0, float(np.abs(expected[name]).max()))
        yield from _logits(f"window, {'0 to 255' if raw else '0 to 1'}", found[0, 0, ::4, ::4], expected[name], scale)
        if raw:
            ours = float(np.round(torch.sigmoid(found).numpy()).sum())
            share = abs(ours - float(expected["seg_mask_sum_x255"])) / found.numel()
            yield ParityRow(network=QUICKNAT, quantity="mask of the window, 0 to 255", difference=share,
                            tolerance=TIES, note="share of pixels")  # fmt: skip


def _trace(vectors: VectorSet, features: Mapping[str, Any]) -> Iterator[ParityRow]:
    height, length, trace = int(features["H"]), int(features["L"]), features["trace_params"]
    columns = np.arange(length)
    wave = trace["base"] + trace["amp"] * np.cos(2 * np.pi * columns / trace["period"] + trace["phase"])
    heights = np.rint(wave + 3 * np.sin(2 * np.pi * columns / 37)).astype(int)
    stored = read_arrays(vectors.folder / "trace_mask.npz")["trace_px"]
    yield compared(FEATURES, "trace by its formula", heights, stored, tolerance=0)
    rows = np.arange(height)[:, None]
    top = height // 2 - heights // 2
    mask = (rows >= top) & (rows < top + heights)
    gap = mask.copy()
    gap[:, slice(*features["gap_columns"])] = False
    strip = _strip(vectors)[:height, :length]
    for name, one in (("clean", mask), ("gap", gap)):
        yield from _features(name, one, strip, features)


def _features(name: str, mask: NDArray[np.bool_], strip: Grey, features: Mapping[str, Any]) -> Iterator[ParityRow]:
    expected, seconds = features[name], float(features["time_res_s"])
    lvid = counted_lvid(mask, millimetres=float(features["len_res_mm"]))
    volumes = teichholz(lvid)
    yield _close(f"{name}: LVID", [*lvid[: len(expected["lvid_mm_first200"])], lvid.sum()],
                 [*expected["lvid_mm_first200"], expected["lvid_sum"]])  # fmt: skip
    yield _close(f"{name}: volume", [*volumes[: len(expected["vol_first50"])], volumes.sum()],
                 [*expected["vol_first50"], expected["vol_sum"]])  # fmt: skip
    diastoles, systoles = published_extrema(lvid)
    yield compared(FEATURES, f"{name}: end-diastoles", diastoles, expected["dia_px"], tolerance=0)
    yield compared(FEATURES, f"{name}: end-systoles", systoles, expected["sys_px"], tolerance=0)
    for label, columns in (("dia", diastoles), ("sys", systoles)):
        yield _close(f"{name}: {label} mm", lvid[columns], expected[f"{label}_mm"])
        yield _close(f"{name}: {label} volumes", volumes[columns], expected[f"{label}_vol"])
    rates = published_rates(diastoles, seconds=seconds)
    yield _close(f"{name}: heart rate", rates, expected["hr_bpm"])
    height, length = mask.shape
    for mass, windows in expected["quality_windows_by_mass_g"].items():
        share = MOUSE.share_of_height(float(mass))
        for variant, centre in (("man", mean_row(mask)), ("aut", None)):
            ours = published_windows(height=height, length=length, share=share, centre=centre)
            yield _windows(f"{name}: windows, {mass} g, {variant}", ours, strip, windows, variant)
    series = {"lvid_d": (diastoles, lvid[diastoles]), "lvid_s": (systoles, lvid[systoles]), "hr": (diastoles, rates)}
    share = MOUSE.share_of_height(40.0)
    windows = published_windows(height=height, length=length, share=share, centre=mean_row(mask))
    labels = [bool(label) for label in expected["labels"]]
    for label, (columns, values) in series.items():
        yield _statistics(f"{name}: {label} of good windows", columns, values, windows, labels,
                          expected["stats_good_mass40"][label], seconds=seconds)  # fmt: skip


def _windows(
    quantity: str, ours: Sequence[Window], strip: Grey, expected: Mapping[str, Any], variant: str
) -> ParityRow:
    pictures = [window.cut(strip) for window in ours]
    same = [[window.start, window.stop] for window in ours] == expected["times"]
    same &= [list(picture.shape) for picture in pictures] == expected[f"{variant}_shapes"]
    sums = np.array([picture.sum() for picture in pictures])
    return ParityRow(
        network=FEATURES, quantity=quantity,
        difference=_relative(sums, expected[f"{variant}_sums"]) if same else math.inf, tolerance=RELATIVE,
        note="relative",
    )  # fmt: skip


def _statistics(
    quantity: str, columns: NDArray[np.intp], values: NDArray[np.float64], windows: Sequence[Window],
    labels: Sequence[bool], expected: Mapping[str, Any], *, seconds: float,
) -> ParityRow:  # fmt: skip
    instants = [
        Instant(
            column=int(column), seconds=int(column) * seconds, value=float(value),
            good=any(label and window.start <= column < window.stop
                     for window, label in zip(windows, labels, strict=True)),
        )
        for column, value in zip(columns, values, strict=False)
    ]  # fmt: skip
    good = [one for one in instants if one.good]
    spread = Spread.of([one.value for one in good])
    found = [spread.median, spread.mean, spread.largest, spread.smallest, *(one.value for one in good),
             *(one.seconds for one in good)]  # fmt: skip
    theirs = [*(expected[key] for key in ("median", "mean", "max", "min")), *expected["good"], *expected["times_s"]]
    return _close(quantity, found, theirs)


def _tiles(vectors: VectorSet, features: Mapping[str, Any]) -> Iterator[ParityRow]:
    height, length = int(features["H"]), int(features["L"])
    tiles, expected = published_tiles(height=height, length=length), features["seg_windows"]
    counting = np.arange(height * length, dtype=np.float64).reshape(height, length)
    pieces = [cut(counting, tile) for tile in tiles]
    found = [len(tiles), tiles[-1].kept - tiles[-1].start, *(piece[0, 0] for piece in pieces),
             *(side for piece in pieces for side in piece.shape)]  # fmt: skip
    theirs = [expected["n"], expected["overlap"], *expected["first_vals"],
              *(side for shape in expected["shapes"] for side in shape)]  # fmt: skip
    yield compared(FEATURES, "segmentation windows", found, theirs, tolerance=0)
    masks = [
        nearest((np.random.default_rng(vectors.seed + 30 + i).random((256, 256)) > 0.5).astype(np.uint8), height=height)
        for i in range(len(tiles))
    ]
    whole, wanted = joined(masks, tiles).astype(np.uint8), features["stitch"]
    same = list(whole.shape) == wanted["mask_shape"]
    same &= hashlib.sha256(whole.tobytes()).hexdigest() == wanted["sha256_u8"]
    yield ParityRow(network=FEATURES, quantity="masks joined", difference=0.0 if same else math.inf, tolerance=0.0,
                    note="SHA-256 of the joined mask")  # fmt: skip


def _frames(vectors: VectorSet, features: Mapping[str, Any]) -> Iterator[ParityRow]:
    expected = features["frame_stitch"]
    strip = np.random.default_rng(vectors.seed + 40).integers(0, 256, (48, 900), dtype=np.uint8)
    width = int(expected["frame_w"])
    frames = [
        grey_of(np.repeat(strip[:, offset : offset + width, None], 3, axis=2), weights=PUBLISHED_LUMA)
        for offset in expected["offsets"]
    ]
    found = stitched_exactly(frames).strip
    yield compared(FEATURES, "strip of frames, size", found.shape, expected["out_shape"], tolerance=0)
    yield _close("strip of frames, grey", [*found.sum(axis=0)[::50], found.sum()],
                 [*expected["col_sums_every50"], expected["total"]])  # fmt: skip


def _network(architecture: str) -> Any:
    return filled(build(architecture))


def _uniform(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def _strip(vectors: VectorSet) -> Grey:
    """The set's picture: noise in squares of eight pixels."""
    noise = np.random.default_rng(vectors.seed + 10).integers(0, 256, (25, 188), dtype=np.uint8)
    return np.repeat(np.repeat(noise, 8, axis=0), 8, axis=1)[:200, :1500].astype(np.float64)


def _logits(
    quantity: str, found: torch.Tensor, expected: NDArray[np.float32], scale: float = 1.0
) -> Iterator[ParityRow]:
    note = "" if scale == 1 else f"logits reach {scale:.0f}, and tolerances with them"
    off = np.abs(found.numpy().astype(np.float64) - expected)
    tail = float(np.quantile(off, QUANTILE)) if np.isfinite(off).all() else math.inf
    yield ParityRow(network=QUICKNAT, quantity=f"{quantity}, 99.9 %", difference=tail, tolerance=SINGLE * scale,
                    note=note)  # fmt: skip
    yield ParityRow(network=QUICKNAT, quantity=f"{quantity}, largest", difference=difference(found.numpy(), expected),
                    tolerance=TIES * scale, note=note)  # fmt: skip


def _clinical(quantity: str, found: torch.Tensor, plain: torch.Tensor) -> ParityRow:
    """Another order of adding up lets more ties fall the other way; all but where they reach must agree."""
    off = np.abs(found.numpy() - plain.numpy())
    return ParityRow(
        network=QUICKNAT, quantity=quantity, difference=float(np.median(off)), tolerance=SINGLE,
        note=f"median difference from the plain network; largest {off.max():.1e}",
    )  # fmt: skip


def _close(quantity: str, found: Sequence[float] | NDArray[Any], expected: Sequence[float]) -> ParityRow:
    return ParityRow(
        network=FEATURES, quantity=quantity, difference=_relative(found, expected), tolerance=RELATIVE, note="relative"
    )


def _relative(found: Sequence[float] | NDArray[Any], expected: Sequence[float]) -> float:
    ours, theirs = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if ours.shape != theirs.shape:
        return math.inf
    return difference(ours / np.maximum(np.abs(theirs), 1e-12), theirs / np.maximum(np.abs(theirs), 1e-12))
