"""Reading the authors' segmentation file: a bare state dict, `_orig_mod.` before its keys when the model was compiled."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.checkpoint import checked_state, load_published, outline, shapes_of, without_prefix
from echonode.tasks.common.inputs import PREPARATIONS
from echonode.tasks.segmentation.net import ARCHITECTURE, build

PREFIXES: Final = ("_orig_mod.module.", "module._orig_mod.", "_orig_mod.", "module.")
OPTIONS: Final = ("mean", "std")
TRAINED_ON: Final = (
    "not stated; the authors train on synthetic apical two and four chamber frames, end-diastole and end-systole"
)


def import_camus_unet(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write segmentation.safetensors into `folder`; the manifest's tables come back.

    Options: `mean` and `std` of the pictures that it was trained on, in 0 to 1. The file does not tell them; without
    them pictures go in as they are, as the authors' own test script does.

    Raises:
        CheckpointRefused: an option is unknown or no number, or the file is not such a checkpoint.
    """
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise CheckpointRefused(f"camus-unet takes no option {', '.join(unknown)}; it takes: {', '.join(OPTIONS)}")
    if ("mean" in options) != ("std" in options):
        raise CheckpointRefused("mean and std are given together or not at all")
    config = {name: _number(name, options[name]) for name in OPTIONS if name in options}
    bare = without_prefix(load_published(source), PREFIXES, where="state_dict")
    sound = checked_state(bare, shapes_of(outline(partial(build, ARCHITECTURE))), where="state_dict")
    path = folder / "segmentation.safetensors"
    save_file(sound, path)
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    return {
        "title": "Left heart segmentation (CAMUS codes)",
        "architecture": {"segmentation": ARCHITECTURE},
        "config": config,
        "preparation": "published",
        "preparations": list(PREPARATIONS),
        "evaluated": [],
        "input": {
            "modes": ["2d", "unknown"], "views": ["A2C", "A4C"], "frames_min": 1, "colour": False,
            "species": ["human"], "age_years_min": 18, "tte_only": True,
        },
        "output": [
            {"name": "label map: 1 left ventricular cavity, 2 myocardium, 3 left atrium"},
            {"name": "largest area of each structure, where calibrated", "unit": "cm2"},
        ],
        "trained_on": TRAINED_ON,
        "intended_use": "research use only, not for diagnosis",
    }  # fmt: skip


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value < 1 if name == "mean" else 0 < value <= 1):
        raise CheckpointRefused(f"{name}: a number from 0 to 1 is expected, not {text[:40]!r}")
    return value
