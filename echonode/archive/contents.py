"""What retrieval needs of each object: where it and its frames lie, and its metadata as JSON. One statement an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, bindparam, false, select
from sqlalchemy.engine import Connection

from echonode.archive import bare
from echonode.archive.bare import Bare
from echonode.archive.database import Database
from echonode.archive.schema import CONTENT, INSTANCE, SERIES, STUDY
from echonode.archive.upsert import is_inserted
from echonode.core.errors import NotFound
from echonode.core.frame_table import FrameTable
from echonode.core.ports import BlobStore
from echonode.core.query import StoredInstance


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One object as retrieval has it.

    `metadata` is its data set as one DICOM JSON object without bulk (PS3.18 annex F), U+0001 standing for the address
    of the instance. `pixel_vr` is the VR of its pixel data, empty when it has none. The numbers are the header's
    claims, 0 where it makes none.
    """

    metadata: str
    frames: FrameTable
    pixel_vr: str = ""
    rows: int = 0
    columns: int = 0
    samples: int = 0
    bits_allocated: int = 0
    photometric: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """Where one object lies. `size` counts the data set's bytes, which begin at `dataset_offset` of the file `path`.

    `frames` has the spans of each frame from the start of the file, and none where frames cannot be cut out.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    path: Path
    size: int
    dataset_offset: int
    frames: FrameTable
    pixel_vr: str
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    photometric: str

    @property
    def has_pixels(self) -> bool:
        """Whether there is pixel data."""
        return bool(self.pixel_vr)


class Told(NamedTuple):
    """Metadata of one instance; `row` orders instances by arrival, `sha256` is over the data set."""

    row: int
    series_uid: str
    sop_instance_uid: str
    sha256: str
    metadata: str


Composer = Callable[[StoredInstance], Content]
"""Makes the content of a stored object by reading its file."""


class Contents:
    """The contents of stored objects that are not hidden. `composer` makes what an older version did not keep."""

    def __init__(self, database: Database, blobs: BlobStore, *, composer: Composer | None = None) -> None:
        self._database = database
        self._blobs = blobs
        self._composer = composer

    def located(self, *, study_uid: str, series_uid: str, sop_instance_uid: str) -> Located | None:
        """Where that instance of that series of that study lies; None when there is none."""
        values = {"study": study_uid, "series": series_uid, "instance": sop_instance_uid}
        row = self._database.look_up(_LOCATED, values)
        if row is None:
            return None
        return self._located(row, study_uid=study_uid, series_uid=series_uid)

    def located_all(self, *, study_uid: str, series_uid: str | None = None) -> list[Located]:
        """Where each instance of a study, or of one of its series, lies, in the order of arrival."""
        values = {"study": study_uid} | ({} if series_uid is None else {"series": series_uid})
        rows = self._database.look_up_all(_LOCATED_STUDY if series_uid is None else _LOCATED_SERIES, values)
        return [self._located(row[:-1], study_uid=study_uid, series_uid=row[-1]) for row in rows]

    def located_uid(self, sop_instance_uid: str) -> Located | None:
        """Where the instance lies, whichever study it belongs to (WADO-URI)."""
        row = self._database.look_up(_LOCATED_UID, {"instance": sop_instance_uid})
        return None if row is None else self._located(row[:-2], study_uid=row[-1], series_uid=row[-2])

    def metadata(
        self, *, study_uid: str, series_uid: str | None = None, sop_instance_uid: str | None = None
    ) -> list[tuple[str, str, str]]:
        """Series UID, SOP Instance UID and metadata of each instance that is meant, in the order of arrival."""
        rows = self.told(study_uid=study_uid, series_uid=series_uid, sop_instance_uid=sop_instance_uid, limit=1 << 31)
        return [(row.series_uid, row.sop_instance_uid, row.metadata) for row in rows]

    def told(
        self,
        *,
        study_uid: str,
        series_uid: str | None = None,
        sop_instance_uid: str | None = None,
        after: int = 0,
        limit: int,
    ) -> list[Told]:
        """As `metadata`, `limit` instances at most, from the one behind the row `after`."""
        values: dict[str, Any] = {"study": study_uid, "after": after, "limit": limit}
        if series_uid is None:
            statement = _TOLD_OF_STUDY
        elif sop_instance_uid is None:
            statement, values["series"] = _TOLD_OF_SERIES, series_uid
        else:
            statement, values["series"], values["instance"] = _TOLD_OF_INSTANCE, series_uid, sop_instance_uid
        return [
            Told(row, series, uid, digest, self._composed(uid).metadata if metadata is None else metadata)
            for row, series, uid, digest, metadata in self._database.look_up_all(statement, values)
        ]

    def digests(self, *, study_uid: str, series_uid: str | None = None) -> list[str]:
        """SHA-256 of each data set of a study or of one of its series, in the order of arrival."""
        values = {"study": study_uid} | ({} if series_uid is None else {"series": series_uid})
        rows = self._database.look_up_all(_DIGESTS_OF_STUDY if series_uid is None else _DIGESTS_OF_SERIES, values)
        return [row[0] for row in rows]

    def missing(self, limit: int = 100) -> list[str]:
        """SOP Instance UIDs of objects whose content an older version did not keep."""
        with self._database.reading() as connection:
            return list(connection.execute(_MISSING.limit(limit)).scalars())

    def compose(self, sop_instance_uid: str) -> None:
        """Make and keep the content of one object, now.

        Raises:
            NotFound: no such object, or this process has no composer.
        """
        self._composed(sop_instance_uid)

    def _located(self, row: Sequence[Any], *, study_uid: str, series_uid: str) -> Located:
        uid, sop_class, syntax, sha256, blob, size, offset, packed, *shape = row
        if packed is None and self._composer is not None:
            content = self._composed(uid)
            frames = content.frames
            shape = [getattr(content, name) for name in _SHAPE]
        else:
            frames = FrameTable.unpack(packed or b"")
        pixel_vr, rows, columns, samples, bits_allocated, photometric = shape
        return Located(
            study_uid=study_uid,
            series_uid=series_uid,
            sop_instance_uid=uid,
            sop_class_uid=sop_class,
            transfer_syntax_uid=syntax,
            sha256=sha256,
            path=self._blobs.path(blob),
            size=size,
            dataset_offset=offset,
            frames=frames,
            pixel_vr=pixel_vr or "",
            rows=rows or 0,
            columns=columns or 0,
            samples=samples or 0,
            bits_allocated=bits_allocated or 0,
            photometric=photometric or "",
        )

    def _composed(self, sop_instance_uid: str) -> Content:
        if self._composer is None:
            raise NotFound(f"the metadata of {sop_instance_uid} has not been made yet")
        with self._database.reading() as connection:
            row = connection.execute(_STORED, {"instance": sop_instance_uid}).first()
        if row is None:
            raise NotFound(f"{sop_instance_uid} is not stored")
        values = row._asdict()
        key = values.pop("id")
        content = self._composer(StoredInstance(path=str(self._blobs.path(values.pop("blob"))), **values))
        with self._database.transaction() as connection:
            is_inserted(connection, CONTENT, {"instance_fk": key, **content_row(content)})
        return content


def content_row(content: Content, *, shifted: int = 0) -> dict[str, Any]:
    """The columns of a content row, its key aside; `shifted` moves the frames when the file's head has grown."""
    frames = content.frames.shifted(shifted) if shifted else content.frames
    return {
        "metadata": content.metadata,
        "frames": frames.pack() if frames.count else b"",
        **{name: getattr(content, name) for name in _SHAPE},
    }


def insert_content(connection: Connection, instance_fk: int, content: Content) -> None:
    """Add the content of a new instance to the caller's transaction."""
    _INSERT.run(connection, {"instance_fk": instance_fk, **content_row(content)})


_INSERT = bare.insert(CONTENT)
_SHAPE = ("pixel_vr", "rows", "columns", "samples", "bits_allocated", "photometric")
_LOCATING = (
    INSTANCE.c.sop_instance_uid,
    INSTANCE.c.sop_class_uid,
    INSTANCE.c.transfer_syntax_uid,
    INSTANCE.c.sha256,
    INSTANCE.c.blob,
    INSTANCE.c.size,
    INSTANCE.c.dataset_offset,
    CONTENT.c.frames,
    *(CONTENT.c[name] for name in _SHAPE),
)
_VISIBLE = INSTANCE.c.hidden == false()


def _joined(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(INSTANCE)
        .join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
        .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
        .outerjoin(CONTENT, CONTENT.c.instance_fk == INSTANCE.c.id)
        .where(_VISIBLE)
        .order_by(INSTANCE.c.id)
    )


_OF_STUDY = STUDY.c.study_uid == bindparam("study")
_OF_SERIES = SERIES.c.series_uid == bindparam("series")
_THE_ONE = INSTANCE.c.sop_instance_uid == bindparam("instance")
_LOCATED = Bare(_joined(*_LOCATING).where(_OF_STUDY, _OF_SERIES, _THE_ONE))
_LOCATED_UID = Bare(_joined(*_LOCATING, SERIES.c.series_uid, STUDY.c.study_uid).where(_THE_ONE))
_LOCATED_STUDY = Bare(_joined(*_LOCATING, SERIES.c.series_uid).where(_OF_STUDY))
_LOCATED_SERIES = Bare(_joined(*_LOCATING, SERIES.c.series_uid).where(_OF_STUDY, _OF_SERIES))
_TELLING = (INSTANCE.c.id, SERIES.c.series_uid, INSTANCE.c.sop_instance_uid, INSTANCE.c.sha256, CONTENT.c.metadata)
_FURTHER = INSTANCE.c.id > bindparam("after")
_SOME = bindparam("limit", type_=Integer)
_TOLD_OF_STUDY = Bare(_joined(*_TELLING).where(_OF_STUDY, _FURTHER).limit(_SOME))
_TOLD_OF_SERIES = Bare(_joined(*_TELLING).where(_OF_STUDY, _OF_SERIES, _FURTHER).limit(_SOME))
_TOLD_OF_INSTANCE = Bare(_joined(*_TELLING).where(_OF_STUDY, _OF_SERIES, _THE_ONE, _FURTHER).limit(_SOME))
_DIGESTS_OF_STUDY = Bare(_joined(INSTANCE.c.sha256).where(_OF_STUDY))
_DIGESTS_OF_SERIES = Bare(_joined(INSTANCE.c.sha256).where(_OF_STUDY, _OF_SERIES))
_STORED = (
    select(
        INSTANCE.c.id,
        INSTANCE.c.sop_instance_uid,
        INSTANCE.c.sop_class_uid,
        INSTANCE.c.transfer_syntax_uid,
        SERIES.c.series_uid,
        STUDY.c.study_uid,
        STUDY.c.patient_id,
        INSTANCE.c.sha256,
        INSTANCE.c.blob,
        INSTANCE.c.size,
        INSTANCE.c.dataset_offset,
        INSTANCE.c.derived,
    )
    .select_from(INSTANCE)
    .join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
    .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
    .where(_THE_ONE)
)
_MISSING = (
    select(INSTANCE.c.sop_instance_uid)
    .outerjoin(CONTENT, CONTENT.c.instance_fk == INSTANCE.c.id)
    .where(CONTENT.c.instance_fk.is_(None))
    .order_by(INSTANCE.c.id)
)
