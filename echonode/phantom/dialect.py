"""How the header of each simulated scanner is filled in: real ones differ in what they tell of view and time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from echonode.phantom.machine import MACHINES, Machine


class Timing(StrEnum):
    """How a header tells when frames were taken (PS3.3 C.7.6.5)."""

    FRAME_TIME = "frame-time"
    VECTOR = "frame-time-vector"


class ViewTold(StrEnum):
    """How a header tells the view (PS3.3 C.8.5.6.1.3)."""

    CODE = "view-code-sequence"
    NAME = "view-name"
    NONE = "not-told"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """The habits of one maker. In stress studies every maker tells the view; one that does not otherwise gives its name.

    `kind` is value 3 of Image Type, `r_waves` whether R waves are told.
    """

    timing: Timing
    view: ViewTold
    kind: str
    r_waves: bool


DIALECTS = (
    Dialect(timing=Timing.FRAME_TIME, view=ViewTold.CODE, kind="TTE", r_waves=True),
    Dialect(timing=Timing.VECTOR, view=ViewTold.NAME, kind="", r_waves=True),
    Dialect(timing=Timing.FRAME_TIME, view=ViewTold.NAME, kind="TTE", r_waves=False),
    Dialect(timing=Timing.VECTOR, view=ViewTold.NONE, kind="", r_waves=True),
)
"""The habits that there are."""


def dialect_of(machine: Machine) -> Dialect:
    """The habits of the machine's maker, the same for all its models; every habit is some maker's."""
    makers = sorted({each.manufacturer for each in MACHINES.values()})
    if machine.manufacturer in makers:
        return DIALECTS[makers.index(machine.manufacturer) % len(DIALECTS)]
    return DIALECTS[hashlib.sha256(machine.manufacturer.encode()).digest()[0] % len(DIALECTS)]
