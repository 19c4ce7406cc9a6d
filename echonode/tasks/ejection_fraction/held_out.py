"""What a model says of loops that it never saw, by the way that a clip takes in the clinic, and what is true of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode
from echonode.core.errors import BadInput, EchonodeError
from echonode.core.identity import digest_of
from echonode.core.results import Ineligible
from echonode.tasks.common.kept_files import WORKERS
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.estimator import Estimator
from echonode.tasks.ejection_fraction.loops import Origin, four_chamber, read_loop
from echonode.tasks.ejection_fraction.prepare import Preparation
from echonode.tasks.ejection_fraction.runner import prepared_clip

FORMAT: Final = 1
REFUSED: Final = ".refused.json"
LIMITS: Final = ("frames_min", "frame_gap_ms_max", "frames_per_beat_min")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """A loop with its true ejection fraction in percent, as a model of some convention looks at it."""

    key: str
    patient: str
    truth: float
    preparation: Preparation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answer:
    """What a model says of a case: the mean over clips, each clip, and the mean embedding."""

    case: Case
    percent: float
    per_clip: tuple[float, ...]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How a package prepares a clip: its convention, its [input] table, its mode."""

    convention: Convention
    contract: Mapping[str, Any]
    preparation: str

    def place(self, origin: Origin, folder: Path) -> Path:
        """Where a cache holds what was prepared of a loop in this way."""
        known = {
            "format": FORMAT, "loop": origin.name, "convention": asdict(self.convention),
            "preparation": self.preparation, "modes": sorted(str(mode) for mode in self.contract.get("modes") or ()),
            "colour": bool(self.contract.get("colour", True)),
            **{name: float(self.contract.get(name) or 0) for name in LIMITS},
        }  # fmt: skip
        return folder / f"test-{digest_of(known)[:40]}.npz"


def cases(
    origins: Sequence[Origin], truths: Sequence[float | None], names: Sequence[tuple[str, str]], way: Way, *, folder: Path,
    workers: int = 1, told: Callable[[int, int], None] | None = None,
) -> tuple[list[Case], dict[str, str]]:  # fmt: skip
    """Each loop prepared, and why others are refused, by key; what the cache `folder` lacks is made first.

    `truths` are those of a list, None for a simulated heart; `names` are (key, patient).

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be used as a cache: {error.strerror}") from error
    places = [way.place(origin, folder) for origin in origins]
    missing = [n for n, place in enumerate(places) if not (place.is_file() or place.with_suffix(REFUSED).is_file())]
    done = len(origins) - len(missing)
    if workers < 2 or len(missing) < 4:
        for number in missing:
            _prepare(origins[number], way, places[number])
            done += 1
            if told is not None:
                told(done, len(origins))
    else:
        # Spawned, not forked: a forked child of a process with threads may wait for ever for a lock of theirs.
        with ProcessPoolExecutor(
            min(workers, WORKERS), mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
        ) as pool:
            for run in as_completed([pool.submit(_prepare, origins[n], way, places[n]) for n in missing]):
                run.result()
                done += 1
                if told is not None:
                    told(done, len(origins))
    found: list[Case] = []
    refused: dict[str, str] = {}
    for place, truth, (key, patient) in zip(places, truths, names, strict=True):
        if not place.is_file():
            refused[key] = str(json.loads(place.with_suffix(REFUSED).read_text(encoding="utf-8")))
            continue
        preparation, own = _opened(place)
        found.append(Case(key=key, patient=patient, truth=own if truth is None else truth, preparation=preparation))
    return found, refused


def answers(
    found: Sequence[Case], estimator: Estimator, convention: Convention, told: Callable[[int, int], None] | None = None
) -> list[Answer]:
    """What a model says of each case."""
    given = []
    for number, case in enumerate(found, start=1):
        estimates = list(estimator.estimates(case.preparation.tensors(convention)))
        percents = tuple(each.percent for each in estimates if each.percent is not None)
        embedding = np.stack([each.embedding.numpy() for each in estimates]).mean(axis=0)
        given.append(
            Answer(
                case=case, percent=float(np.mean(percents)) if percents else float("nan"), per_clip=percents,
                embedding=embedding,
            )
        )  # fmt: skip
        if told is not None:
            told(number, len(found))
    return given


def clip_of(origin: Origin) -> tuple[Clip, float]:
    """The whole loop at the size that the scanner gives, and the true ejection fraction of a simulated one, else NaN.

    Raises:
        EchonodeError: it cannot be decoded, or the study records no such loop.
    """
    if origin.phantom is None:
        if origin.file is None:
            raise BadInput("neither a simulated study nor a file")
        return read_loop(origin.file), float("nan")
    plan = four_chamber(origin.phantom, spread=False)
    if plan is None:
        raise BadInput(f"{origin.phantom[0]}: records no grey apical four-chamber loop")
    loop = plan.acquire(labels=False)
    clip = Clip(
        frames=loop.frames,
        times_ms=loop.times_ms,
        regions=loop.regions,
        mode=Mode.B_MODE,
        heart_rate=loop.heart_rate_bpm,
    )
    return clip, plan.patient.ef_percent


def _prepare(origin: Origin, way: Way, place: Path) -> None:
    try:
        clip, truth = clip_of(origin)
        made = prepared_clip(clip, {}, convention=way.convention, contract=way.contract, preparation=way.preparation)
        reason = made.reason if isinstance(made, Ineligible) else None
    except (EchonodeError, ValueError) as error:  # ValueError: a plane that misses the heart it should cut
        made, reason, truth = None, str(error), float("nan")
    if not isinstance(made, Preparation):
        place.with_suffix(REFUSED).write_text(json.dumps(reason), encoding="utf-8")
        return
    part = place.with_name(f".{place.name}.{os.getpid()}")
    with part.open("wb") as file:
        np.savez(
            file, pictures=made.pictures, clips=np.stack(made.clips), starts=np.asarray(made.starts, np.float64),
            truth=np.float64(truth), notes=np.array(json.dumps(made.notes)), mode=np.array(made.mode),
        )  # fmt: skip
    part.replace(place)


def _opened(place: Path) -> tuple[Preparation, float]:
    with np.load(place, allow_pickle=False) as kept:
        clips = tuple(kept["clips"])
        return Preparation(
            mode=str(kept["mode"]), pictures=kept["pictures"], clips=clips, shown=clips,
            starts=tuple(kept["starts"].tolist()), notes=tuple(json.loads(str(kept["notes"]))),
        ), float(kept["truth"])  # fmt: skip
