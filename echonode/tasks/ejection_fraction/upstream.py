"""Reading the authors' files: CoReEcho's stages, encoders with a trained head, and EchoNet-Dynamic's network.

CoReEcho: `best.pth` is {epoch, model, regressor, best_error}, `last.pth` has the run's settings (`opt`) beside them.
A state dict alone, or under `state_dict`, is an encoder whose head says the ejection fraction (EchoCoTr), or, with
400 outputs, one that was trained on Kinetics-400 and is where the training begins. EchoNet-Dynamic: {epoch,
state_dict, period, frames, best_loss, loss, r2, opt_dict, scheduler_dict}, keys under `module.`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.checkpoint import checked_state, load_published, outline, shapes_of, without_prefix
from echonode.tasks.common.inputs import PREPARATIONS
from echonode.tasks.ejection_fraction.net import build

MODULE: Final = "module."
KINETICS_CLASSES: Final = 400
STAGE: Final = frozenset({"epoch", "model", "regressor", "best_error", "opt"})
DYNAMIC: Final = frozenset(
    {
        "epoch", "state_dict", "period", "frames", "best_loss", "loss", "r2", "opt_dict", "scheduler_dict",
    }
)  # fmt: skip
SETTINGS: Final = ("argparse.Namespace",)
SCORES: Final = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct", "numpy.dtype", "numpy.ndarray", "numpy.dtypes.Float64DType",
    "numpy.dtypes.Float32DType",
)  # fmt: skip
COREECHO: Final = {"frames": 36, "stride": 4, "period_ms": 80.0, "padding": "before"}
TRAINED_ON: Final = (
    "EchoNet-Dynamic, as the layout suggests: apical four-chamber videos of 112 x 112 pixels at about 50 frames a "
    "second, adults, one hospital; the file does not tell"
)
INTENDED_USE: Final = (
    "research use only, not for diagnosis; left ventricular ejection fraction, adults, apical four-chamber view"
)
COREECHO_RMSE, DYNAMIC_RMSE, TESTED_VIDEOS = 5.13, 5.32, 1276
TEST: Final = "EchoNet-Dynamic's test videos, as {authors} published it; not measured here"
"""CoReEcho, three clips a video: Maani et al., MICCAI 2024. EchoNet-Dynamic, all clips: Ouyang et al., Nature 2020;580:252."""
INPUT: Final = {
    "modes": ["2d", "unknown"], "views": ["A4C"], "frames_min": 12, "frame_gap_ms_max": 50.0, "colour": False,
    "species": ["human"], "age_years_min": 18, "tte_only": True, "frames_per_beat_min": 12,
}  # fmt: skip


def import_coreecho(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write encoder.safetensors and, of a stage's file, regressor.safetensors into `folder`; the manifest's tables.

    Option `method`: regressor (a stage's file), head (the head was trained), embedding (the initialisation). Without
    it a stage's file is "regressor" and one with 400 outputs "embedding"; a file with one output must say `head`,
    because CoReEcho's own head is never trained. Option `published`=yes: whoever imports it states that this is the
    authors' own file, which nothing in it tells; then its published error goes into the manifest.

    Raises:
        CheckpointRefused: an option is unknown, or the file is not such a checkpoint.
    """
    _require_options(options, ("method", "published"), kind="coreecho")
    published = _metrics(options, COREECHO_RMSE, authors="the authors of CoReEcho")
    content = load_published(source, forgotten=(*SETTINGS, *SCORES))
    names = {str(key) for key in content}
    method = options.get("method")
    if names & {"model", "regressor"}:
        if method not in (None, "regressor"):
            raise CheckpointRefused(
                f"method: a file with model and regressor is read as regressor, not {method[:40]!r}"
            )
        return _stage(content, names, folder) | {"metrics": published}
    if published:
        raise CheckpointRefused(
            "published: the error that CoReEcho published is that of a file with model and regressor"
        )
    state = without_prefix(content.get("state_dict", content), (MODULE,), where="state_dict")
    outputs = _outputs(state)
    if method is None and outputs == KINETICS_CLASSES:
        method = "embedding"
    if method not in ("head", "embedding"):
        raise CheckpointRefused(
            "holds an encoder alone: its head of one output is trained in EchoCoTr and never in CoReEcho; "
            "method=head or method=embedding says which"
        )
    if method == "head" and outputs != 1:
        raise CheckpointRefused(f"head has {outputs} outputs, 1 is expected for an ejection fraction")
    _write(folder, "encoder", "uniformer-small", state, where="state_dict", outputs=outputs)
    trained_on = TRAINED_ON if method == "head" else "Kinetics-400, as the 400 outputs suggest; no echocardiogram"
    return _tables(method, {"encoder": "uniformer-small"}, COREECHO | {"outputs": outputs}, trained_on=trained_on)


def import_echonet_dynamic(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write encoder.safetensors (R(2+1)D-18) into `folder`; the manifest's tables.

    Option `published`=yes as for `import_coreecho`.

    Raises:
        CheckpointRefused: an option, or the file is not such a checkpoint.
    """
    _require_options(options, ("published",), kind="echonet-dynamic")
    published = _metrics(options, DYNAMIC_RMSE, authors="the authors of EchoNet-Dynamic")
    content = load_published(source, forgotten=SCORES)
    names = {str(key) for key in content}
    if "state_dict" not in names:
        raise CheckpointRefused("lacks state_dict: it is no checkpoint of EchoNet-Dynamic")
    if surplus := sorted(names - DYNAMIC):
        raise CheckpointRefused(f"has surplus {', '.join(name[:60] for name in surplus[:4])}")
    frames, period = content.get("frames", 32), content.get("period", 2)
    if type(frames) is not int or type(period) is not int or not (1 <= frames <= 512 and 1 <= period <= 64):
        raise CheckpointRefused(f"frames and period: small whole numbers are expected, not {frames!r} and {period!r}")
    state = without_prefix(content["state_dict"], (MODULE,), where="state_dict")
    _write(folder, "encoder", "r2plus1d-18", state, where="state_dict")
    convention = {
        "frames": frames,
        "stride": period,
        "period_ms": 20.0 * period,
        "padding": "after",
        "all_starts": True,
    }
    tables = _tables("r2plus1d", {"encoder": "r2plus1d-18"}, convention, trained_on=TRAINED_ON)
    return tables | {"metrics": published}


def _stage(content: Mapping[Any, Any], names: set[str], folder: Path) -> dict[str, Any]:
    if missing := sorted({"model", "regressor"} - names):
        raise CheckpointRefused(f"lacks {', '.join(missing)}: CoReEcho saves encoder and regressor side by side")
    if surplus := sorted(names - STAGE):
        raise CheckpointRefused(f"has surplus {', '.join(name[:60] for name in surplus[:4])}")
    architecture = {"encoder": "uniformer-small", "regressor": "ef-regressor"}
    states = {
        role: without_prefix(content[key], (MODULE,), where=key)
        for role, key in (("encoder", "model"), ("regressor", "regressor"))
    }
    checked = {
        role: checked_state(states[role], shapes_of(outline(partial(build, architecture[role]))), where=key)
        for role, key in (("encoder", "model"), ("regressor", "regressor"))
    }
    for role, state in checked.items():
        _save(folder / f"{role}.safetensors", state)
    return _tables("regressor", architecture, COREECHO, trained_on=TRAINED_ON)


def _write(
    folder: Path, role: str, architecture: str, state: Mapping[str, Any], *, where: str, outputs: int = 1
) -> None:
    _save(
        folder / f"{role}.safetensors",
        checked_state(state, shapes_of(outline(partial(build, architecture, outputs=outputs))), where=where),
    )


def _save(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    save_file(dict(state), path)
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _tables(
    method: str, architecture: Mapping[str, str], config: Mapping[str, Any], *, trained_on: str
) -> dict[str, Any]:
    embedding = method == "embedding"
    return {
        "title": "Features of UniFormer-S" if embedding else "Ejection fraction from one apical view",
        "architecture": dict(architecture),
        "config": {"method": method} | dict(config),
        "preparation": "published",
        "preparations": list(PREPARATIONS),
        "input": INPUT,
        "output": [{"name": "embedding"}] if embedding else [{"name": "ejection_fraction", "unit": "%"}],
        "trained_on": trained_on,
        "intended_use": "research use only, not for diagnosis; where a training begins" if embedding else INTENDED_USE,
    }


def _outputs(state: Mapping[str, Any]) -> int:
    head = state.get("head.bias")
    outputs = head.shape[0] if isinstance(head, torch.Tensor) and head.ndim == 1 else 1
    if outputs not in (1, KINETICS_CLASSES):
        raise CheckpointRefused(f"head has {outputs} outputs; 1 or {KINETICS_CLASSES} are expected")
    return outputs


def _metrics(options: Mapping[str, str], rmse: float, *, authors: str) -> list[dict[str, Any]]:
    """The error that the authors published, when the file is said to be theirs."""
    said = options.get("published", "no")
    if said not in ("yes", "no"):
        raise CheckpointRefused(f"published: yes or no is expected, not {said[:40]!r}")
    if said == "no":
        return []
    on = TEST.format(authors=authors)
    return [{"name": "EF RMSE", "value": rmse, "unit": "%", "n": TESTED_VIDEOS, "on": on, "locked": True}]


def _require_options(options: Mapping[str, str], known: tuple[str, ...], *, kind: str) -> None:
    if unknown := sorted(set(options) - set(known)):
        takes = f"it takes: {', '.join(known)}" if known else "it takes none of its own"
        raise CheckpointRefused(f"{kind} takes no option {', '.join(unknown)}; {takes}")
