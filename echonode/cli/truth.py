"""`--truth`: what `echonode simulate` wrote in truth.json, found for an object and shown beside what a model measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from echonode.cli.options import existing
from echonode.cli.screen import Column, show_rows
from echonode.core.errors import BadInput, EchonodeError

TRUTH_FILE = "truth.json"
FORMAT = 1

TruthOption = Annotated[
    Path | None,
    typer.Option("--truth", metavar="FILE", help="truth.json of echonode simulate: print what is true beside it."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownObject:
    """What is true of one simulated object: its entry in truth.json, its study's, and the folder that this lies in."""

    entry: Mapping[str, Any]
    study: Mapping[str, Any]
    folder: Path

    @property
    def view(self) -> str | None:
        """The view of a loop; None for a sweep."""
        view = self.entry.get("view")
        return None if view is None else str(view)

    @property
    def level(self) -> str | None:
        """The level of a sweep; None for a loop."""
        level = self.entry.get("level")
        return None if level is None else str(level)

    @property
    def stage(self) -> str | None:
        """The stage of a stress study."""
        stage = self.entry.get("stage")
        return None if stage is None else str(stage)

    @property
    def patient(self) -> Mapping[str, Any]:
        """The heart that was recorded: in a stage under stress another one than the study's at rest."""
        found: Mapping[str, Any] = self.entry.get("patient") or self.study.get("patient") or {}
        return found

    @property
    def labels(self) -> Path | None:
        """The .npz file of label maps or boundaries, where one was written."""
        name = self.entry.get("labels")
        return None if name is None else self.folder / str(name)

    def value(self, name: str) -> Any:
        """What is true under that name: of the loop or sweep, else of the object (heart_rate_bpm), else of the patient.

        None where truth.json says nothing of it.
        """
        for place in (self.entry.get("truth") or {}, self.entry, self.patient):
            if place.get(name) is not None:
                return place[name]
        return None

    def number(self, name: str) -> float | None:
        """As `value` where it is a number, else None."""
        value = self.value(name)
        return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)

    @property
    def biplane(self) -> Mapping[str, Any] | None:
        """What the method of disks gives on the true contours of both apical views, in this object's stage."""
        for each in self.study.get("biplane") or ():
            if each.get("stage") == self.stage:
                found: Mapping[str, Any] = each
                return found
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Every object of a truth.json: of a whole simulation, or of one of its studies."""

    objects: tuple[KnownObject, ...]

    @classmethod
    def read(cls, path: Path) -> Truth:
        """The truth that a file holds, or the truth.json in a folder.

        Raises:
            BadInput: it is not there, or was not written by `echonode simulate`.
        """
        file = existing(path)
        file = existing(file / TRUTH_FILE) if file.is_dir() else file
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if "studies" in content:
                if content["format"] != FORMAT:
                    raise BadInput(f"{file}: format {content['format']}, but {FORMAT} is expected")
                found = [
                    each for study in content["studies"] for each in _objects(study, file.parent / study["folder"])
                ]
            else:
                found = list(_objects(content, file.parent))
        except OSError as error:
            raise BadInput(f"{file}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{file}: is no truth.json of echonode simulate: {error}") from error
        return cls(objects=tuple(found))

    def of_instance(self, uid: str) -> KnownObject | None:
        """The object with that SOP Instance UID."""
        return next((each for each in self.objects if uid and each.entry.get("sop_instance_uid") == uid), None)

    def of_file(self, source: Path) -> KnownObject | None:
        """The object in that file: by its SOP Instance UID where it is a DICOM file, else by where it lies."""
        from echonode.cli.called import is_dicom

        if source.is_file() and is_dicom(source):
            from echonode.cli.routes import facts_of_file

            try:
                found = self.of_instance(facts_of_file(source).sop_instance_uid)
            except EchonodeError:
                found = None
            if found is not None:
                return found
        place = source.resolve()
        return next((each for each in self.objects if (each.folder / str(each.entry["file"])).resolve() == place), None)

    def of_study(self, uid: str) -> tuple[KnownObject, ...]:
        """Every object of the study with that Study Instance UID."""
        return tuple(each for each in self.objects if each.study.get("study_instance_uid") == uid)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One measurement beside the truth; None where either side has no number. `source` is the file, as the user named it."""

    source: str
    measurement: str
    value: float | None
    truth: float | None
    unit: str = ""

    @property
    def difference(self) -> float | None:
        """Measured minus true."""
        return None if self.value is None or self.truth is None else self.value - self.truth

    def as_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "source": self.source, "measurement": self.measurement, "unit": self.unit,
            "value": _finite(self.value), "truth": _finite(self.truth), "difference": _finite(self.difference),
        }  # fmt: skip


def show_compared(rows: Sequence[Compared], *, title: str = "Beside the truth") -> None:
    """Print a table: source, measurement, value, truth, difference."""
    columns = (
        Column("source", "source"),
        Column("measurement", lambda row: f"{row['measurement']} {_unit(row['unit'])}".rstrip()),
        Column("measured", lambda row: _text(row["value"]), right=True),
        Column("truth", lambda row: _text(row["truth"]), right=True),
        Column("difference", lambda row: _text(row["difference"], sign=True), right=True),
    )
    show_rows([row.as_json() for row in rows], columns, empty="nothing that truth.json knows", title=title)


def compared_as_json(rows: Iterable[Compared]) -> list[dict[str, Any]]:
    """The rows as JSON takes them."""
    return [row.as_json() for row in rows]


def _objects(study: Mapping[str, Any], folder: Path) -> Iterator[KnownObject]:
    for entry in study["objects"]:
        if not isinstance(entry["file"], str) or not isinstance(entry["sop_instance_uid"], str):
            raise ValueError("an object without file or sop_instance_uid")
        yield KnownObject(entry=entry, study=study, folder=folder)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _unit(unit: str) -> str:
    return f"[{unit}]" if unit else ""


def _text(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.1f}" if sign else f"{value:.1f}"
