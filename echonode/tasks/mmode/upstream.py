"""Reading the authors' checkpoints: CardioNet is a bare state dict, QuickNAT the `net_state_dict` of a dictionary.

Layout of Echo2Pheno: `quality-clas-net.pth`, or one `bootstrap_net<k>.pth` for each network of the ensemble; and
`heart-seg-net.pt` with epoch, optimizer, loss and scores beside the state dict. Neither file says what its input's
scale was; it was 0 to 1 in training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.checkpoint import checked_state, load_published, shapes_of, without_prefix
from echonode.tasks.mmode.net import build
from echonode.tasks.mmode.networks import MODES, PRECISIONS, Sampling
from echonode.tasks.mmode.runner import SAMPLES_MOST
from echonode.tasks.mmode.species import SPECIES

BESIDE: Final = frozenset({"epoch", "optimizer", "loss", "dice", "mse", "best_dice", "best_mse"})
STATE: Final = "net_state_dict"
FORGOTTEN: Final = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")
OPTIONS: Final = ("mode", "samples", "seed", "species", "precision")
FURTHER: Final = "further_files"
ENSEMBLE_MOST: Final = 32
MILLIMETRES, VOLUMES = ("lvid_d", "lvid_s"), ("edv", "esv")


def import_cardionet(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write quality.safetensors, or quality_1 … for an ensemble of several files; the manifest's tables come back.

    Options: `mode`, reference (default), batchstat or mc; `samples` and `seed` of mc; `species`, mouse or human;
    `precision`, float32 (default) or bfloat16, which is faster and less exact.

    Raises:
        CheckpointRefused: an option is unknown, or a file is not such a checkpoint.
    """
    files = [source, *_further(options)]
    states = _judges(files)
    _save(states, folder)
    return _tables("Quality of M-mode by CardioNet", dict.fromkeys(states, "cardionet"), options) | {
        "output": [{"name": "good_share", "unit": "1"}],
    }


def import_quicknat(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write segmentation.safetensors, and the classifiers that further files hold; the manifest's tables come back.

    Options as `import_cardionet`.

    Raises:
        CheckpointRefused: as `import_cardionet`.
    """
    content = load_published(source, forgotten=FORGOTTEN)
    names = {str(key) for key in content}
    if STATE not in names:
        raise CheckpointRefused(f"lacks {STATE}: it is no QuickNAT checkpoint of Echo2Pheno")
    if surplus := sorted(names - BESIDE - {STATE}):
        raise CheckpointRefused(f"has surplus {', '.join(name[:60] for name in surplus[:4])}")
    state = without_prefix(content[STATE], ("module.",), where=STATE)
    states = {"segmentation": checked_state(state, shapes_of(build("quicknat")), where=STATE)}
    states |= _judges(_further(options))
    _save(states, folder)
    roles = {role: "quicknat" if role == "segmentation" else "cardionet" for role in states}
    species = _species(options)
    return _tables("M-mode of the left ventricle by QuickNAT", roles, options) | {
        "output": [
            *({"name": name, "unit": "mm"} for name in MILLIMETRES),
            {"name": "heart_rate", "unit": "{beats}/min"},
            *({"name": name, "unit": SPECIES[species].volume_unit} for name in VOLUMES),
            {"name": "ejection_fraction", "unit": "%"},
            {"name": "fractional_shortening", "unit": "%"},
            {"name": "cavity"},
        ],
    }


def _judges(files: list[Path]) -> dict[str, dict[str, torch.Tensor]]:
    """The checked classifiers of an ensemble by role."""
    if len(files) > ENSEMBLE_MOST:
        raise CheckpointRefused(f"{len(files)} classifiers, more than {ENSEMBLE_MOST}")
    shapes = shapes_of(build("cardionet"))
    found = {}
    for number, file in enumerate(files, start=1):
        role = "quality" if len(files) == 1 else f"quality_{number:02d}"
        content = without_prefix(load_published(file, forgotten=FORGOTTEN), ("module.",), where=file.name)
        found[role] = checked_state(content, shapes, where=file.name)
    return found


def _further(options: Mapping[str, str]) -> list[Path]:
    return [Path(path) for path in json.loads(options.get(FURTHER, "[]"))]


def _species(options: Mapping[str, str]) -> str:
    species = options.get("species", "mouse")
    if species not in SPECIES:
        raise CheckpointRefused(f"species: one of {', '.join(SPECIES)} is expected, not {species[:40]!r}")
    return species


def _tables(title: str, roles: Mapping[str, str], options: Mapping[str, str]) -> dict[str, Any]:
    unknown = sorted(set(options) - {*OPTIONS, FURTHER})
    if unknown:
        raise CheckpointRefused(f"takes no option {', '.join(unknown)}; it takes: {', '.join(OPTIONS)}")
    mode = options.get("mode", "reference")
    if mode not in MODES:
        raise CheckpointRefused(f"mode: one of {', '.join(MODES)} is expected, not {mode[:40]!r}")
    usual = Sampling()
    precision = options.get("precision", "float32")
    if precision not in PRECISIONS:
        raise CheckpointRefused(f"precision: one of {', '.join(PRECISIONS)} is expected, not {precision[:40]!r}")
    config: dict[str, Any] = {"mode": mode} | ({} if precision == "float32" else {"precision": precision})
    if mode == "mc":
        config |= {
            "samples": _whole(options, "samples", usual.samples, least=2, most=SAMPLES_MOST),
            "seed": _whole(options, "seed", usual.seed, least=0, most=2**63 - 1),
        }
    species = _species(options)
    mice = species == "mouse"
    return {
        "title": title,
        "architecture": dict(roles),
        "config": config,
        "preparation": "clinical",
        "preparations": ["clinical", "published"],
        "input": {
            "modes": ["m-mode"], "frames_min": 1, "colour": False, "calibrated": True, "species": [species],
            "tte_only": True,
        },
        "trained_on": "M-mode of conscious mice, as the file's layout suggests" if mice else "not stated",
        "intended_use": "research in mice, never on patients" if mice else "research use only, not for diagnosis",
    }  # fmt: skip


def _whole(options: Mapping[str, str], name: str, usual: int, *, least: int, most: int) -> int:
    text = options.get(name, str(usual))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= most:
        raise CheckpointRefused(f"{name}: a whole number from {least} to {most} is expected, not {text[:40]!r}")
    return number


def _save(states: Mapping[str, Mapping[str, torch.Tensor]], folder: Path) -> None:
    for role, state in states.items():
        path = folder / f"{role}.safetensors"
        save_file(dict(state), path)
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
