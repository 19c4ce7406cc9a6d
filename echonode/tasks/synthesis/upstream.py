"""Reading a published semantic diffusion checkpoint: the EMA file, one flat state dict of one network.

The file holds no configuration. Widths, levels, blocks, attention and label codes are read from the shapes; what they do
not tell (channels a head, image size of unusual widths, order of attention, schedule, dropped labels) are options whose
defaults are the published training run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.camus import VIEWS
from echonode.tasks.common.checkpoint import checked_state, load_published, outline, shapes_of, without_prefix
from echonode.tasks.synthesis.net import ARCHITECTURE, MULTIPLIERS, build, config_of
from echonode.tasks.synthesis.samplers import SAMPLERS
from echonode.tasks.synthesis.schedule import SCHEDULES, kept_timesteps

FILE_BYTES: Final = 4 << 30
LARGEST_WIDTH: Final = 2048
PREFIXES: Final = ("module.",)
OPTIONS: Final = (
    "view", "image_size", "num_head_channels", "attention_order", "schedule", "timesteps", "drop_rate", "sampler",
    "respacing",
)  # fmt: skip
USUAL_RESPACING: Final = "50"
TRAINED_ON: Final = "not stated; the authors train on 400 CAMUS patients, one network a view and phase"

Shapes = dict[str, tuple[int, ...]]


def import_sdm(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write denoiser.safetensors into `folder`; the manifest's tables come back.

    Options: `view` (2CH_ED, 2CH_ES, 4CH_ED, 4CH_ES); `num_head_channels` (64), `image_size` (by widths),
    `attention_order` (new, or legacy), `schedule` (cosine, or linear), `timesteps` (1000); `drop_rate`, the share of
    labels that training dropped (0: then guidance is refused); `sampler` and `respacing` that it is run with unless a
    run says otherwise (ancestral, 50; respacing "all" walks every timestep, as the authors do).

    Raises:
        CheckpointRefused: an option is unknown or wrong, or the file is not such a checkpoint.
    """
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise CheckpointRefused(f"sdm takes no option {', '.join(unknown)}; it takes: {', '.join(OPTIONS)}")
    settings = _settings(options)
    content = load_published(source, max_bytes=FILE_BYTES)
    bare = without_prefix(content, PREFIXES, where="state_dict")
    del content
    shapes = {key: tuple(value.shape) for key, value in bare.items() if hasattr(value, "shape")}
    config = inferred_config(shapes, options)
    sound = checked_state(bare, shapes_of(outline(partial(build, ARCHITECTURE, **config))), where="state_dict")
    bare.clear()  # the published file has 2.6 GB: only one copy of it while the next is written
    path = folder / "denoiser.safetensors"
    save_file(sound, path)
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    view = options.get("view", "")
    return {
        "title": f"Synthetic echo {view.replace('_', ' ')}".rstrip(),
        "architecture": {"denoiser": ARCHITECTURE},
        "config": {"network": config, **settings, **({"view": view} if view else {})},
        "preparation": "published",
        "preparations": ["published"],
        "evaluated": [],
        "input": {
            "views": [{"2CH": "A2C", "4CH": "A4C"}[view[:3]]] if view else [], "frames_min": 1, "species": ["human"],
            "age_years_min": 18, "tte_only": True,
        },
        "output": [{"name": "synthetic picture of no patient"}],
        "trained_on": TRAINED_ON,
        "intended_use": "research use only; makes pictures that show no patient, for training and teaching",
    }  # fmt: skip


def inferred_config(shapes: Shapes, options: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `build` for a state dict of these shapes, as plain values.

    Raises:
        CheckpointRefused: the shapes are none of such a network.
    """
    first = _shape(shapes, "input_blocks.0.0.weight", 4)
    time = _shape(shapes, "time_embed.0.weight", 2)
    last = _shape(shapes, "out.2.weight", 4)
    labels = _shape(shapes, "middle_block.0.in_norm.mlp_shared.0.weight", 4)
    levels, attended, blocks = _levels(shapes)
    base = time[1]
    widths = [_shape(shapes, f"input_blocks.{place}.0.out_layers.3.weight", 4)[0] for place in levels]
    if not 0 < base <= LARGEST_WIDTH or max(widths) > 8 * LARGEST_WIDTH:
        raise CheckpointRefused(f"widths of {base} and {max(widths)} channels are none of a semantic diffusion network")
    multipliers = tuple(width / base for width in widths)
    usual = {size for size, each in MULTIPLIERS.items() if each == multipliers}
    size = _whole(options, "image_size", next(iter(usual), 0))
    if size == 0:
        raise CheckpointRefused(f"image_size must be said: widths {widths} are none of the usual ones")
    config: dict[str, Any] = {
        "image_size": size,
        "in_channels": first[1],
        "out_channels": last[0],
        "model_channels": base,
        "num_res_blocks": blocks,
        "attention_resolutions": sorted((size // 2**level for level in attended), reverse=True),
        "num_head_channels": _whole(options, "num_head_channels", 64),
        "label_channels": labels[1],
        "use_new_attention_order": _chosen(options, "attention_order", ("new", "legacy")) == "new",
    }
    if size not in usual:
        config["channel_mult"] = list(multipliers)
    try:
        config_of(config)
    except ValueError as error:
        raise CheckpointRefused(f"num_head_channels, image_size: {error}; say them as options") from error
    return config


def _settings(options: Mapping[str, str]) -> dict[str, Any]:
    if "view" in options:
        _chosen(options, "view", VIEWS)
    timesteps = _whole(options, "timesteps", 1000)
    respacing = options.get("respacing", USUAL_RESPACING if timesteps > int(USUAL_RESPACING) else "all")
    try:
        drop_rate = float(options.get("drop_rate", "0"))
    except ValueError:
        drop_rate = -1.0
    if not 0 <= drop_rate < 1:
        raise CheckpointRefused(f"drop_rate: a share from 0 to 1 is expected, not {options['drop_rate'][:40]!r}")
    if respacing != "all":
        try:
            kept_timesteps(timesteps, respacing)
        except ValueError as error:
            raise CheckpointRefused(f"respacing: {error}") from error
    return {
        "schedule": _chosen(options, "schedule", tuple(SCHEDULES)),
        "timesteps": timesteps,
        "sampler": _chosen(options, "sampler", tuple(SAMPLERS)),
        "respacing": respacing,
        "drop_rate": drop_rate,
    }


def _levels(shapes: Shapes) -> tuple[list[int], list[int], int]:
    """The place of each level's first block, the levels with attention, and the residual blocks a level.

    Each level of the decoder but the last ends in an enlarging block, which is the second residual block of its place.
    """
    decoded = {int(match[1]) for key in shapes if (match := re.match(r"output_blocks\.(\d{1,3})\.", key))}
    enlarging = {
        int(match[1]) for key in shapes if (match := re.match(r"output_blocks\.(\d{1,3})\.[12]\.in_norm\.", key))
    }
    levels = len(enlarging) + 1
    stride = len(decoded) // levels
    if stride < 2 or enlarging != {level * stride - 1 for level in range(1, levels)} or len(decoded) != levels * stride:
        raise CheckpointRefused(
            f"its {len(decoded)} decoder blocks make no levels: it is no semantic diffusion network"
        )
    starts = [1 + level * stride for level in range(levels)]
    attended = [level for level, start in enumerate(starts) if f"input_blocks.{start}.1.qkv.weight" in shapes]
    return starts, attended, stride - 1


def _shape(shapes: Shapes, key: str, dimensions: int) -> tuple[int, ...]:
    if key not in shapes:
        raise CheckpointRefused(f"lacks {key}: it is no semantic diffusion network")
    if len(shapes[key]) != dimensions:
        raise CheckpointRefused(f"has wrong shapes {key} {shapes[key]}")
    return shapes[key]


def _whole(options: Mapping[str, str], name: str, usual: int) -> int:
    text = options.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise CheckpointRefused(f"{name}: a whole number is expected, not {text[:40]!r}")
    return int(text)


def _chosen(options: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    found = options.get(name, allowed[0])
    if found not in allowed:
        raise CheckpointRefused(f"{name}: {', '.join(allowed)} is expected, not {found[:40]!r}")
    return found
