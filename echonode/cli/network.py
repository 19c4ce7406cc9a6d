"""`echonode send`, `query`, `retrieve`: DICOM as a user, towards a PACS or this node."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.called import calling, dicom_files
from echonode.cli.options import ConfigOption, FromOption, JsonOption, ToOption, ae_title
from echonode.cli.screen import Column, complain, duration, say, show_rows
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from pydicom import Dataset


class QueryLevel(StrEnum):
    """Query/Retrieve levels as people type them."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    IMAGE = "image"


RETURNED = {
    QueryLevel.PATIENT: ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    QueryLevel.STUDY: (
        "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "PatientID", "PatientName",
        "ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances",
    ),
    QueryLevel.SERIES: (
        "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances",
    ),
    QueryLevel.IMAGE: ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "NumberOfFrames"),
}  # fmt: skip

NEEDED = {
    QueryLevel.SERIES: ("StudyInstanceUID",),
    QueryLevel.IMAGE: ("StudyInstanceUID", "SeriesInstanceUID"),
}
"""Unique keys of the levels above, without which no relational query is allowed (PS3.4 C.4.1.2.1)."""


def send_command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files, and folders of them.")],
    to: ToOption,
    title: FromOption = None,
    config: ConfigOption = None,
) -> None:
    """Send DICOM files to a PACS, a workstation, or this node; exit code 1 when one was not taken."""
    from echonode.dimse import user

    sent = 0
    with calling(to, title, config) as (configuration, name):
        files = dicom_files(paths)
        for file in files:
            user.stored_file(file)
        start = time.monotonic()
        for outcome in user.store(configuration, files, to=name):
            sent += outcome.ok
            if not outcome.ok:
                complain(f"{outcome.path}: {outcome.detail}")
    say(f"{sent} of {len(files)} objects sent to {to} in {duration(time.monotonic() - start)}")
    if sent < len(files):
        raise typer.Exit(1)


def query_command(
    to: ToOption,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="What must match: PatientID=123, StudyDate=20260101-; * and ? match any."
        ),
    ] = None,
    level: Annotated[QueryLevel, typer.Option(help="What to list.")] = QueryLevel.STUDY,
    limit: Annotated[int, typer.Option(min=1, help="Matches, at most.")] = 200,
    title: FromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a PACS, or this node, what it has."""
    from echonode.core.query import Level
    from echonode.dimse import user

    wanted = dict.fromkeys(RETURNED[level], "") | dict(_pair(text) for text in keys or ())
    for above in NEEDED.get(level, ()):
        if not wanted.get(above):
            raise BadInput(f"--level {level} needs {above}=UID")
    with calling(to, title, config) as (configuration, name):
        matches = list(
            user.find(
                configuration,
                name,
                level=Level(level.upper()),
                keys=wanted,
                root="patient" if level is QueryLevel.PATIENT else "study",
                limit=limit,
            )
        )
    rows = [_row(match, wanted) for match in matches]
    shown = [key for key in wanted if any(row[key] for row in rows)]
    show_rows(rows, [Column(key, key) for key in shown], as_json=as_json, empty="no matches")


def retrieve_command(
    to: ToOption,
    study: Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.")],
    series: Annotated[str | None, typer.Option(metavar="UID", help="Only this series.")] = None,
    instance: Annotated[str | None, typer.Option(metavar="UID", help="Only this object; needs --series.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files (C-GET).")] = Path("retrieved"),
    move_to: Annotated[
        str | None, typer.Option(metavar="AET", help="Let the other side send them to this AE title instead (C-MOVE).")
    ] = None,
    title: FromOption = None,
    config: ConfigOption = None,
) -> None:
    """Fetch a study, a series or an object into a folder, or have it sent to an AE title."""
    from echonode.core.identity import is_uid
    from echonode.core.query import Level
    from echonode.dimse import user

    if instance and not series:
        raise BadInput("--instance needs --series")
    given = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance}
    keys = {name: uid for name, uid in given.items() if uid}
    for name, uid in keys.items():
        if not is_uid(uid):
            raise BadInput(f"{uid!r} is no {name}: digits and dots are expected")
    level = Level.IMAGE if instance else Level.SERIES if series else Level.STUDY
    with calling(to, title, config) as (configuration, peer):
        if move_to is not None:
            outcome = user.move(configuration, peer, level=level, keys=keys, destination=ae_title(move_to))
            where = f"sent to {move_to}"
        else:
            outcome = user.get(configuration, peer, level=level, keys=keys, into=out)
            where = f"in {out}"
    say(f"{outcome.completed + outcome.warning} objects {where}")
    if not outcome.ok:
        complain(f"{to} ended with status {outcome.status:04X}H, {outcome.failed} objects failed")
        for uid in outcome.failed_uids:
            complain(f"failed: {uid}")
        raise typer.Exit(1)
    if not outcome.completed + outcome.warning:
        complain(f"{to} has nothing with that UID")
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise BadInput(f"{text!r} is not of the form KEY=VALUE, for example PatientID=123")
    return key, value


def _row(match: Dataset, wanted: dict[str, str]) -> dict[str, Any]:
    from pydicom.multival import MultiValue

    row: dict[str, Any] = {}
    for key in wanted:
        value = match.get(key)
        row[key] = "" if value is None else "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return row
