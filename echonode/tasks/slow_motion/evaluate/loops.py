"""The loops that `--data` of an evaluation stands for: DICOM and video files, prepared clips, simulated studies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from echonode.core.clip import Clip, Mode, SourceIdentity
from echonode.core.errors import EchonodeError
from echonode.tasks.slow_motion.sources import (
    PreparedClip,
    clips,
    is_prepared,
    owner_of,
    read_prepared,
    read_source,
    source_files,
)
from echonode.training.dataset import Candidate, Item, Split
from echonode.training.sources import study_of

SPLITS: Final = {split.value: split for split in Split}


def layout(path: Path) -> Iterator[Candidate]:
    """Candidates of a file, a folder of DICOM and video files, or a prepared folder of clips."""
    if path.is_dir() and is_prepared(path):
        for clip in clips(path):
            yield Candidate(
                key=f"{path.resolve().name}/{clip.split}/{clip.name}",
                patient=clip.study or f"{clip.split}/{clip.name}",
                files=clip.frames,
                split=SPLITS[clip.split],
                labels={"times_ms": list(clip.times_ms), "timed": clip.timed},
            )
        return
    root = path if path.is_dir() else path.parent
    for file in source_files(path):
        try:
            owner = owner_of(file, root=root)
        except EchonodeError:
            owner = file.name  # told with its reason when it is read
        key = f"{root.resolve().name}/{file.relative_to(root).as_posix()}"
        yield Candidate(key=key, patient=owner, files=(file,))


def loops_of(item: Item, paths: Sequence[Path]) -> Iterator[tuple[str, Clip]]:
    """The loops of an item, each with its name.

    Raises:
        UnreadableObject, BudgetExceeded, Undecodable: as `read_clip` and `read_video`.
    """
    if item.phantom is not None:
        for plan in study_of(item.phantom).loops:
            made = plan.acquire(labels=False)
            stage = f"-{plan.stage_number}" if plan.stage_number is not None else ""
            yield (
                f"{item.key}/{plan.view.name}{stage}-{plan.view_number}",
                Clip(
                    frames=made.frames,
                    times_ms=made.times_ms,
                    regions=made.regions,
                    mode=Mode.COLOUR if made.colour else Mode.B_MODE,
                    stage=made.stage,
                    source=SourceIdentity(name=item.key),
                ),
            )
        return
    if "times_ms" in item.labels:
        times = tuple(item.labels["times_ms"])
        timed = bool(item.labels["timed"])
        prepared = PreparedClip(split=str(item.split), name=item.key, frames=tuple(paths), times_ms=times, timed=timed)
        yield item.key, read_prepared(prepared)
        return
    yield item.key, read_source(paths[0])
