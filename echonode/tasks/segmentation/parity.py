"""The segmentation network and its score against the authors' numbers; rules as the set's readme words them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.parity import ParityRow
from echonode.tasks.common.parity import compared, filled, read_arrays, read_json, read_set, state_row
from echonode.tasks.common.sector_rule import label_map
from echonode.tasks.segmentation.dice import Dice, dice
from echonode.tasks.segmentation.net import build

NETWORK: Final = "camus-unet"
CLOSE: Final = 2e-5
MARGIN: Final = 1e-4  # where the two best logits are closer, rounding decides
ASSUMED_MEAN, ASSUMED_STD = 0.2, 0.25
SIDE: Final = 256
LIGHT: Final = (0.0, 0.12, 0.45, 0.65, 0.15)
ABSENT_CASES: Final = ("dice", "dice_no_LA_both", "dice_no_LA_target")


def check(folder: Path, whole: bool) -> Iterator[ParityRow]:
    """One row for each quantity of the set in `folder`."""
    place = folder / "sdm"
    if not place.is_dir():
        return
    yield from _network(place, read_set(folder).seed)
    yield from _dice(read_arrays(place / "dataprep_dice.npz"))


def picture_by_rule(seed: int) -> NDArray[np.float32]:
    """(1, 1, 256, 256) in 0 to 1: the rule's sector map in grey, times uniform speckle."""
    light = np.array(LIGHT, np.float32)[label_map(SIDE, SIDE, seed)]
    speckle = np.random.default_rng([seed, 41]).random((SIDE, SIDE)).astype(np.float32)
    grey = (light * (np.float32(0.4) + np.float32(1.2) * speckle)).astype(np.float32)
    return np.clip(grey, 0, 1).astype(np.float32)[None, None]


def _row(quantity: str, found: Any, expected: Any, tolerance: float = CLOSE) -> ParityRow:
    return compared(NETWORK, quantity, found, expected, tolerance=tolerance)


@torch.inference_mode()
def _network(place: Path, seed: int) -> Iterator[ParityRow]:
    listed = read_json(place / "state_dict_segnet.json")
    network = build("camus-unet", channels=tuple(listed["config"]["channels"]))
    yield state_row(NETWORK, network, [{"key": key, **entry} for key, entry in listed["state_dict"].items()])
    filled(network)
    expected = read_arrays(place / "segnet.npz")
    picture = torch.from_numpy(picture_by_rule(seed))
    yield _row("picture", picture[:, :, ::4, ::4], expected["image__s4"], 1e-6)
    logits = network(picture)
    yield _row("logits", logits[:, :, ::4, ::4], expected["logits__s4"])
    best = logits.topk(2, dim=1).values
    clear = (best[:, 0] - best[:, 1] >= MARGIN).numpy()
    ours = logits.argmax(1).numpy()
    yield _row("labels where they are clear", np.where(clear, ours, 0), np.where(clear, expected["argmax"], 0), 0)
    flat = logits[0].flatten(1).double().numpy()
    yield _row("mean and deviation of logits", np.stack([flat.mean(1), flat.std(1)]), expected["stats"])
    normalised = network((picture - ASSUMED_MEAN) / ASSUMED_STD)
    yield _row("logits, normalised input", normalised[:, :, ::8, ::8], expected["logits_normalized_input__s8"])
    uniform = np.random.default_rng([seed, 42]).random((2, 1, SIDE, SIDE)).astype(np.float32)
    two = network(torch.from_numpy(uniform))
    yield _row("logits of two uniform pictures", two[:, :, ::8, ::8], expected["logits_uniform_batch2__s8"])


def _dice(expected: dict[str, NDArray[Any]]) -> Iterator[ParityRow]:
    truth, found = expected["dice_target"], expected["dice_pred"]
    blank, no_truth, no_found = (np.where(each == 3, 0, each) for each in (truth * 0, truth, found))
    cases = {
        "dice": dice(found, truth, absent=0.0),
        "dice_no_LA_both": dice(no_found, no_truth, absent=0.0),
        "dice_no_LA_target": dice(found, no_truth, absent=0.0),
        "dice_all_background": dice(blank, blank, absent=0.0),
    }
    for case, score in cases.items():
        yield compared("dice", case, _four(score), expected[case], tolerance=1e-6)
    table = np.array([_four(cases[case]) for case in ABSENT_CASES])
    yield compared("dice", "mean of images", table.mean(0), expected["epoch_mean"], tolerance=1e-6)
    yield compared("dice", "deviation of images", table.std(0), expected["epoch_std"], tolerance=1e-6)
    mean = table.mean(0)[1:].mean()
    yield compared("dice", "mean of structures", mean, expected["epoch_dice_mean"], tolerance=1e-6)


def _four(score: Dice) -> list[float]:
    """The published table also has a column for the background, which is always 0."""
    return [0.0, *score.scores]
