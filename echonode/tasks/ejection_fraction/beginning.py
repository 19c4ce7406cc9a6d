"""Where a training begins: the weights of a package, of the authors, or of Kinetics-400."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import nn

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.checkpoint import load_published, without_prefix
from echonode.tasks.ejection_fraction.upstream import MODULE, SCORES, SETTINGS

HEAD: Final = "head."
RUN_KEYS: Final = frozenset({"format", "step", "state", "random"})
ENCODER_FILE, REGRESSOR_FILE = "encoder.safetensors", "regressor.safetensors"


def begin(networks: nn.ModuleDict, file: Path) -> None:
    """Put the weights of `file` into encoder and, where it has them, regressor.

    A safetensors file is an encoder; regressor.safetensors beside an encoder.safetensors goes with it. A checkpoint of
    the authors is a stage's ({model, regressor}) or an encoder alone. The best.pt of an earlier run gives its averaged
    weights, those for what is learned besides as well. A head of another width is left as it is.

    Raises:
        CheckpointRefused: it cannot be read, or its weights are not this network's; the message names the first.
    """
    if file.suffix == ".safetensors":
        try:
            states: dict[str, Mapping[str, torch.Tensor]] = {"encoder": load_file(file)}
            beside = file.with_name(REGRESSOR_FILE)
            if file.name == ENCODER_FILE and beside.is_file():
                states["regressor"] = load_file(beside)
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointRefused(f"{file.name}: cannot be read: {error}") from error
    else:
        content = load_published(file, forgotten=(*SETTINGS, *SCORES))
        states = _of_a_run(content) if RUN_KEYS.issubset(content) else _of_the_authors(content)
    for role, state in states.items():
        if role not in networks:
            continue
        _load(networks[role], state, where=f"{file.name}: {role}")


def _of_a_run(content: Mapping[Any, Any]) -> dict[str, Mapping[str, torch.Tensor]]:
    try:
        average = content["state"]["average"]["average"]
    except (KeyError, TypeError) as error:
        raise CheckpointRefused("is a checkpoint of a run of another recipe") from error
    roles: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in average.items():
        role, _, rest = str(name).partition(".")
        roles.setdefault(role, {})[rest] = tensor
    return dict(roles)


def _of_the_authors(content: Mapping[Any, Any]) -> dict[str, Mapping[str, torch.Tensor]]:
    if "model" in content:
        return {
            role: without_prefix(content[key], (MODULE,), where=key)
            for role, key in (("encoder", "model"), ("regressor", "regressor")) if key in content
        }  # fmt: skip
    return {"encoder": without_prefix(content.get("state_dict", content), (MODULE,), where="state_dict")}


def _load(network: nn.Module, state: Mapping[str, torch.Tensor], *, where: str) -> None:
    wanted = network.state_dict()
    fitting = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if name in wanted and wanted[name].shape == tensor.shape
    }
    rest = sorted(name for name in wanted.keys() ^ fitting.keys() if not name.startswith(HEAD))
    unknown = sorted(name for name in state.keys() - wanted.keys() if not name.startswith(HEAD))
    if rest or unknown:
        raise CheckpointRefused(f"{where}: {(unknown or rest)[0][:60]} does not fit the network that is trained")
    network.load_state_dict({**wanted, **fitting})
