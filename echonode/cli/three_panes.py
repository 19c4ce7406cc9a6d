"""Slow motion beside the original and beside repeated frames, in the formats of `echonode run slow-motion`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.core.package import Package
    from echonode.core.results import Loop
    from echonode.core.settings import NodeSettings


class Studio(Protocol):
    """What is known of a run when its result is written."""

    @property
    def package(self) -> Package:
        """The model."""
        ...

    @property
    def settings(self) -> NodeSettings:
        """Of this node."""
        ...

    @property
    def out(self) -> Path:
        """Folder of the results."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """As the runner had them."""
        ...


def write_panes(studio: Studio, source: Path, loop: Loop, *, format_: str, name: str, scratch: Path) -> Path:
    """The movie of `loop` as dicom, mp4, mkv or png; made in `scratch` and moved to its place.

    Raises:
        BadInput: a format that shows single frames.
    """
    if format_ == "sheet":
        raise BadInput("--compare makes a movie: dicom, mp4, mkv or png")
    target = studio.out / (name if format_ == "png" else f"{name}.{'dcm' if format_ == 'dicom' else format_}")
    made = scratch / target.name
    if format_ == "dicom":
        _write_dicom(studio, source, loop, made)
    else:
        _write_frames(studio, loop, made, scratch)
    if format_ == "png":
        shutil.rmtree(target, ignore_errors=True)
    made.replace(target)
    return target


def _write_dicom(studio: Studio, source: Path, loop: Loop, made: Path) -> None:
    from echonode.derive.movie import build_movie

    build_movie(
        source,
        loop,
        package=studio.package,
        parameters=studio.parameters,
        node=studio.settings.node,
        now=datetime.now().astimezone(),
        limits=studio.settings.limits,
    ).write(made)


def _write_frames(studio: Studio, loop: Loop, made: Path, scratch: Path) -> None:
    import numpy as np

    from echonode.derive.panes import Panes
    from echonode.dicom.video import write_pictures, write_video

    panes = Panes(loop=loop, true_time=studio.parameters.get("timing") == "true_time")
    shape = (panes.count, *panes.size, panes.channels)
    frames = np.lib.format.open_memmap(scratch / "panes.npy", mode="w+", dtype=np.uint8, shape=shape)
    for index, frame in enumerate(panes):
        frames[index] = frame
    if made.suffix:
        write_video(made, frames, fps=1000.0 / panes.interval_ms)
    else:
        write_pictures(made, frames)
