"""A package's networks, loaded once: clips in, ejection fractions in percent and embeddings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Literal, cast

import torch
from torch import nn

from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.tasks.common.checkpoint import load_weights, outline, shapes_of
from echonode.tasks.common.devices import keep_float32, open_device
from echonode.tasks.common.inputs import counted
from echonode.tasks.common.r2plus1d import features
from echonode.tasks.ejection_fraction.compact import DEPTHS, WIDTHS
from echonode.tasks.ejection_fraction.net import FEATURES, build

Method = Literal["regressor", "head", "embedding", "r2plus1d"]
ROLES: Final[dict[Method, dict[str, tuple[str, ...]]]] = {
    "regressor": {"encoder": ("uniformer-small", "uniformer-compact"), "regressor": ("ef-regressor",)},
    "head": {"encoder": ("uniformer-small",)},
    "embedding": {"encoder": ("uniformer-small",)},
    "r2plus1d": {"encoder": ("r2plus1d-18",)},
}
"""Which networks a method needs, and which architectures may take that role."""
GPU_BATCH: Final = 16
LARGEST: Final = 2048


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Estimate:
    """What the networks say of one clip: percent, None where they were trained for none, and its embedding."""

    percent: float | None
    embedding: torch.Tensor


class Estimator:
    """Runs `method` on `device`; one clip at a time on a CPU, where a batch is no faster."""

    def __init__(self, networks: dict[str, nn.Module], *, method: Method, device: torch.device) -> None:
        self._networks = {role: net.eval().requires_grad_(False).to(device) for role, net in networks.items()}
        self.method = method
        self._device = device
        self._batch = 1 if device.type == "cpu" else GPU_BATCH

    def estimates(self, clips: Iterable[torch.Tensor]) -> Iterator[Estimate]:
        """For each clip float32 (3, T, H, W), in order."""
        waiting = iter(clips)
        while batch := list(islice(waiting, self._batch)):
            with torch.inference_mode():
                values, embeddings = self.values(torch.stack(batch).to(self._device))
            for value, embedding in zip(values.float().cpu().tolist(), embeddings.float().cpu(), strict=True):
                yield Estimate(percent=None if self.method == "embedding" else value, embedding=embedding)

    def values(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Percent (N,) and embeddings (N, 512) of clips (N, 3, T, H, W)."""
        encoder = self._networks["encoder"]
        if self.method == "r2plus1d":
            embedding = features(encoder, clips)
            return encoder.get_submodule("fc")(embedding)[:, 0], embedding
        head, embedding = encoder(clips)
        answer = self._networks["regressor"](embedding) if self.method == "regressor" else head
        return answer[:, 0], embedding


def open_estimator(package: Package, *, device: str, threads: int) -> Estimator:
    """The networks of a package, on `device`.

    Raises:
        PackageInvalid: the method is unknown, or a network is missing.
        CheckpointRefused: the weights do not fit.
    """
    place = open_device(device, threads=threads)
    keep_float32(place)
    method = package.config.get("method")
    if method not in ROLES:
        raise PackageInvalid(f"{package.name}: config.method: {', '.join(ROLES)} is expected, not {method!r}")
    networks = {}
    for role, possible in ROLES[method].items():
        architecture = package.architecture.get(role, "")
        if architecture not in possible or role not in package.weights:
            raise PackageInvalid(f"{package.name}: method {method} needs {' or '.join(possible)} as {role}")
        arguments = arguments_of(architecture, package.config)
        network = outline(partial(build, architecture, **arguments))
        network.load_state_dict(load_weights(package.weights[role], shapes_of(network)), assign=True)
        networks[role] = network
    return Estimator(networks, method=cast(Method, method), device=place)


def arguments_of(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a package's [config] says of the size of a network; the published size where it says nothing.

    Raises:
        PackageInvalid: a size that no network has.
    """
    if architecture == "ef-regressor":
        return {"features": counted(config, "features", FEATURES)}
    if architecture == "uniformer-compact":
        return {name: _sizes(config, name, usual) for name, usual in (("widths", WIDTHS), ("depths", DEPTHS))}
    return {"outputs": int(config.get("outputs", 1))}


def _sizes(config: Mapping[str, Any], name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    values = config.get(name, usual)
    sound = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == len(usual)
    if not sound or not all(type(value) is int and 0 < value <= LARGEST for value in values):
        raise PackageInvalid(f"config.{name}: {len(usual)} whole numbers to {LARGEST} are expected, not {values!r}")
    return tuple(values)
