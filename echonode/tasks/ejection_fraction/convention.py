"""What a checkpoint was trained with: how many frames, how far apart, and how grey levels became numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from echonode.core.errors import PackageInvalid
from echonode.tasks.common.inputs import counted, positive

Padding = Literal["before", "after"]
PADDINGS: Final[tuple[Padding, ...]] = ("before", "after")
MEANS: Final = (0.12741163, 0.1279413, 0.12912785)
DEVIATIONS: Final = (0.19557191, 0.19562256, 0.1965878)
"""Of red, green and blue over EchoNet-Dynamic, levels from 0 to 1: what both seeds normalise with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """`frames` every `stride`-th frame in published mode; every `period_ms` in clinical mode.

    `padding`: a video shorter than frames x stride gets black frames "before" normalisation (CoReEcho), or zeros
    "after" it, which is mean grey (EchoNet-Dynamic). `all_starts`: published mode averages over every first frame.
    """

    frames: int = 36
    stride: int = 4
    side: int = 112
    period_ms: float = 80.0
    padding: Padding = "before"
    all_starts: bool = False
    clips: int = 3
    means: tuple[float, ...] = MEANS
    deviations: tuple[float, ...] = DEVIATIONS

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Convention:
        """The convention that a package's [config] states; CoReEcho's where it says nothing.

        Raises:
            PackageInvalid: a value that no clip can be made with.
        """
        usual = cls()
        padding = config.get("padding", usual.padding)
        if padding not in PADDINGS:
            raise PackageInvalid(f"config.padding: {' or '.join(PADDINGS)} is expected, not {padding!r}")
        return cls(
            frames=counted(config, "frames", usual.frames, most=512),
            stride=counted(config, "stride", usual.stride, most=64),
            side=counted(config, "side", usual.side, most=1024),
            period_ms=positive(config, "period_ms", usual.period_ms),
            padding=cast(Padding, padding),
            all_starts=config.get("all_starts", False) is True,
            clips=counted(config, "clips", usual.clips, most=64),
            means=_three(config, "means", MEANS, least=0.0),
            deviations=_three(config, "deviations", DEVIATIONS, least=1e-3),
        )

    @property
    def padded(self) -> int:
        """Frames that a video has at least, after padding."""
        return self.frames * self.stride

    @property
    def span(self) -> int:
        """Frames from the first of a clip to its last, both counted."""
        return (self.frames - 1) * self.stride + 1

    @property
    def clip_ms(self) -> float:
        """How long a clip lasts in clinical mode."""
        return self.frames * self.period_ms

    def last_start(self, count: int) -> int:
        """The last first frame of a clip in a video of `count` frames, padded."""
        return max(count, self.padded) - self.span

    def levels(self) -> NDArray[np.float32]:
        """(3, 256): what each grey level of red, green and blue becomes.

        A float32 level less a float64 mean is kept as float32 before it is divided, as the authors' arithmetic does;
        it matters in the last bit.
        """
        level = np.arange(256, dtype=np.float64)[None, :]
        centred = (level - 255.0 * np.array(self.means)[:, None]).astype(np.float32)
        scaled: NDArray[np.float32] = (centred / (255.0 * np.array(self.deviations)[:, None])).astype(np.float32)
        return scaled


def _three(config: Mapping[str, Any], name: str, usual: tuple[float, ...], *, least: float) -> tuple[float, ...]:
    value = config.get(name, usual)
    sound = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
    if not sound or not all(isinstance(number, int | float) and least <= number < 1 for number in value):
        raise PackageInvalid(f"config.{name}: three numbers from {least:g} to 1 are expected, not {value!r}")
    return tuple(float(number) for number in value)
