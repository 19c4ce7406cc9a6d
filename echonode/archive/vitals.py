"""What the processes of a node say of themselves: a small file each under the data folder, that any of them may read.

Files, not rows: they must also be readable while the database is away, and they are nobody's truth. A file is written
anew every second and renamed into its place; nothing is synced. What a process counted outlives it: the counts of
processes that are gone are added up in one file, each process once, whenever the fold is interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from echonode.archive.activity import is_alive, process_name
from echonode.core.tally import SERIES, Tally, add_up

FOLDER = "vitals"
PAST = "past.json"
WRITE_SECONDS = 1.0
LASTING = frozenset(name for name, series in SERIES.items() if series.kind != "gauge")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessVitals:
    """One process: its role, who it is, when it wrote this and when its main loop turned (seconds since the epoch)."""

    role: str
    owner: str
    started_at: float
    written_at: float
    pulsed_at: float
    alive: bool
    reports: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Every process that is alive or died lately, and the counts of all that ever were."""

    processes: tuple[ProcessVitals, ...]
    counts: list[list[Any]]

    def of(self, role: str) -> list[ProcessVitals]:
        """The processes of that role that live."""
        return [process for process in self.processes if process.role == role and process.alive]


class VitalsWriter:
    """Writes one process's tally into the folder of `root`, and what `report` says; a fault in writing harms nobody."""

    def __init__(self, root: Path, *, role: str, tally: Tally, report: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._folder, self._role, self._tally, self._report = root / FOLDER, role, tally, report
        self._owner, self._started_at = process_name(), tally.clock()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Write now, every second, and once more at the end."""
        stop = threading.Event()
        self.write()
        thread = threading.Thread(target=self._keep, args=(stop,), name="vitals", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)
            self.write()

    def write(self) -> None:
        """Write what the tally says now."""
        text = json.dumps(
            {
                "role": self._role,
                "owner": self._owner,
                "started_at": self._started_at,
                "written_at": self._tally.clock(),
                "pulsed_at": self._tally.pulsed_at,
                "reports": self._report(),
                "counts": self._tally.counts(),
            },
            default=str,
        )
        with self._lock, contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            _replace(self._folder / _file_name(self._owner), text)

    def _keep(self, stop: threading.Event) -> None:
        while not stop.wait(WRITE_SECONDS):
            self.write()


def read_vitals(root: Path) -> Sheet:
    """What stands in the folder of `root` now; nothing where no process has written yet."""
    files = _files(root)
    past = _read(root / FOLDER / PAST)  # after the files: what is folded meanwhile stands in one of the two
    folded = set(past.get("owners", ()))
    processes, counts = [], [list(past.get("counts", ()))]
    for content in files:
        if content["owner"] in folded:
            continue
        alive = is_alive(content["owner"])
        rows = content.get("counts", [])
        counts.append(rows if alive else [row for row in rows if row[0] in LASTING])
        processes.append(
            ProcessVitals(
                role=content["role"],
                owner=content["owner"],
                started_at=content["started_at"],
                written_at=content["written_at"],
                pulsed_at=content["pulsed_at"],
                alive=alive,
                reports=content.get("reports", {}),
            )
        )
    return Sheet(processes=tuple(processes), counts=add_up(counts))


def fold_vitals(root: Path) -> int:
    """Add the counts of processes that are gone to the past and forget their files; how many. One caller at a time.

    The past names whom it has counted, so that a fold that was cut short counts nobody twice.
    """
    past = _read(root / FOLDER / PAST)
    dead = [content for content in _files(root) if not is_alive(content["owner"])]
    if not dead:
        return 0
    counted = set(past.get("owners", ()))
    lasting = [
        [row for row in content.get("counts", []) if row[0] in LASTING]
        for content in dead
        if content["owner"] not in counted
    ]
    total = add_up([list(past.get("counts", ())), *lasting])
    owners = [content["owner"] for content in dead]
    _replace(root / FOLDER / PAST, json.dumps({"owners": owners, "counts": total}))
    for owner in owners:
        (root / FOLDER / _file_name(owner)).unlink(missing_ok=True)
    return len(dead)


def _files(root: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((root / FOLDER).glob("process-*.json")):
        content = _read(path)
        if {"role", "owner", "started_at", "written_at", "pulsed_at"} <= content.keys():
            found.append(content)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)


def _file_name(owner: str) -> str:
    _host, pid, started = owner.rsplit("/", 2)
    return f"process-{pid}-{started}.json"
