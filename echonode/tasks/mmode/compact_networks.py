"""The small networks of a package, ready to be asked about a strip on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.errors import PackageInvalid
from echonode.tasks.mmode.compact import JUDGED, LEVELS, Judge, LevelNet, Tracer, places
from echonode.tasks.mmode.grid import Floats, Gridded, network_picture

Network = TypeVar("Network", bound=torch.nn.Module)
PAIR: Final = 2  # columns of the grid that the tracer says one thing of


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trace:
    """What the tracer says of each column of the grid.

    `walls` (4, L) rows where the borders lie; `spread` (4, L) rows, how far its answer is spread about them; `diastole`
    and `systole` (L,) how likely the R wave and end-systole lie there.
    """

    walls: Floats
    spread: Floats
    diastole: Floats
    systole: Floats


class CompactNetworks:
    """A tracer or none, a network for the level or none, and any number of judges, on one device in float32."""

    def __init__(
        self, *, tracer: Tracer | None, level: LevelNet | None, judges: Sequence[Judge], device: torch.device
    ) -> None:
        self.device = device
        self.tracer = None if tracer is None else _ready(tracer, device)
        self.leveller = None if level is None else _ready(level, device)
        self.judges = [_ready(judge, device) for judge in judges]

    def joined(self, further: CompactNetworks) -> CompactNetworks:
        """The networks of both.

        Raises:
            PackageInvalid: both have a tracer, or both judge the level.
        """
        if self.tracer is not None and further.tracer is not None:
            raise PackageInvalid("a second network of boundaries; one strip has one outline")
        if self.leveller is not None and further.leveller is not None:
            raise PackageInvalid("a second network for the level")
        joined = CompactNetworks(tracer=None, level=None, judges=(), device=self.device)
        joined.tracer, joined.leveller = self.tracer or further.tracer, self.leveller or further.leveller
        joined.judges = [*self.judges, *further.judges]
        return joined

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return self.tracer is None and self.leveller is None and not self.judges

    def trace(self, grid: Gridded) -> Trace:
        """Borders and phases of a strip."""
        assert self.tracer is not None, "a package without a tracer traces nothing"
        rows, length = grid.picture.shape
        with torch.inference_mode():
            traced = self.tracer(self._input(grid))
            share = torch.softmax(traced.walls, dim=2)
            where = 2 * torch.arange(share.shape[2], device=share.device, dtype=torch.float32) + 0.5
            mean = places(traced.walls)
            spread = ((share * (where[:, None] - mean[:, :, None]) ** 2).sum(dim=2)).sqrt()
            phases = torch.sigmoid(traced.phases)
        walls = np.minimum(_whole(mean[0], length), rows - 0.5)
        likely = _whole(phases[0], length)
        return Trace(walls=walls, spread=_whole(spread[0], length), diastole=likely[0], systole=likely[1])

    def level(self, grid: Gridded) -> dict[str, float] | None:
        """How likely the line lies at each level; None without a network for it."""
        if self.leveller is None:
            return None
        with torch.inference_mode():
            shares = torch.softmax(self.leveller(self._input(grid))[0].double(), dim=0).cpu().tolist()
        return dict(zip(LEVELS, shares, strict=True))

    def good(self, grid: Gridded) -> NDArray[np.float64]:
        """The mean probability of all judges that a stretch of 8 columns is good, one entry a stretch."""
        count = -(-grid.picture.shape[1] // JUDGED)
        with torch.inference_mode():
            said = [torch.sigmoid(judge(self._input(grid)))[0, :count].double().cpu().numpy() for judge in self.judges]
        return np.asarray(np.mean(said, axis=0), np.float64)

    def _input(self, grid: Gridded) -> torch.Tensor:
        return torch.from_numpy(network_picture(grid.picture))[None, None].to(self.device)


def _whole(values: torch.Tensor, length: int) -> Floats:
    """Values (..., L/2) at each of `length` columns."""
    found = values.double().cpu().numpy()
    where = (np.arange(length) + 0.5) / PAIR - 0.5
    lines = found.reshape(-1, found.shape[-1])
    whole = np.stack([np.interp(where, np.arange(found.shape[-1]), line) for line in lines])
    return whole.reshape(*found.shape[:-1], length)


def _ready(network: Network, device: torch.device) -> Network:
    network.eval().requires_grad_(False).to(device)
    return network
