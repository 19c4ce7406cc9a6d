"""A small simulated study on disk: one patient, loops of known views and an M-mode sweep."""

from __future__ import annotations

from datetime import date
from pathlib import Path


def write_phantom(folder: Path, *, scale: float = 0.3) -> dict[str, Path]:
    """The files of one study by what they show: PLAX, A4C, A2C, and the sweep as "M-mode". About a second."""
    from echonode.phantom.writing import write_study
    from echonode.self_scanner import study_of

    told = write_study(study_of(date(2026, 1, 1)), folder, scale=scale, labels=False).plain(folder=".")
    return {str(each["view"] or "M-mode"): folder / str(each["file"]) for each in told["objects"]}
