"""What a report refers to: the headers of stored objects, and references to their frames that are right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from echonode.core.errors import BadInput
from echonode.core.report import ObjectReference, Refused, StudyReport
from echonode.dicom import elements

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MULTI_FRAME = frozenset(_STORAGE + tail for tail in ("3", "3.1", "6.2", "7.1", "7.2", "7.3", "7.4", "66.4"))
_PICTURES = frozenset(
    _STORAGE + tail for tail in ("3", "3.1", "6", "6.1", "6.2", "7", "7.1", "7.2", "7.3", "7.4", "66.4")
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sources:
    """The objects that a report may refer to, by SOP Instance UID: `known` by reference, `headers` without pixels."""

    study_uid: str
    headers: Mapping[str, Dataset]
    known: Mapping[str, ObjectReference] = field(default_factory=dict)

    @classmethod
    def of(cls, report: StudyReport, headers: Mapping[str, Dataset]) -> Sources:
        """Everything that `report` names, and everything that there is a header of."""
        named = [
            *(loop.source for loop in report.loops),
            *report.predecessors,
            *(reference for _, reference in report.derived),
            *(refused.source for refused in _refusals(report) if refused.source is not None),
        ]
        known = {each.sop_instance_uid: each for each in named}
        for uid, header in headers.items():
            known[uid] = ObjectReference(
                sop_instance_uid=uid,
                sop_class_uid=elements.text(header, "SOPClassUID"),
                series_uid=elements.text(header, "SeriesInstanceUID"),
            )
        return cls(study_uid=report.study_uid, headers=headers, known=known)

    def reference(self, uid: str) -> ObjectReference:
        """The object of that SOP Instance UID.

        Raises:
            BadInput: neither the report nor a header says of which class and series it is.
        """
        found = self.known.get(uid)
        if found is None:
            raise BadInput(f"the report refers to {uid}, of which there is neither a header nor a reference")
        return found

    def study_of(self, uid: str) -> str:
        """The study that the object belongs to: the report's where no header tells."""
        header = self.headers.get(uid)
        return (elements.text(header, "StudyInstanceUID") if header is not None else "") or self.study_uid

    def frame_numbers(self, uid: str, frames: Sequence[int]) -> tuple[int, ...]:
        """Referenced Frame Number (0008,1160), from 1, of frames counted from 0; none where the whole object is meant.

        Raises:
            BadInput: the object has no such frame.
        """
        reference = self.reference(uid)
        header = self.headers.get(uid)
        count = elements.integer(header, "NumberOfFrames") if header is not None else None
        if count is None:
            count = 1 if header is not None or reference.sop_class_uid not in _MULTI_FRAME else None
        if frames and (min(frames) < 0 or (count is not None and max(frames) >= count)):
            raise BadInput(f"the report refers to frame {max(frames)} of {uid}, which has {count}")
        # A single picture must not be referred to by frame (PS3.3 table 10-3), and all frames are told by none.
        if reference.sop_class_uid not in _MULTI_FRAME or count == 1 or len(set(frames)) == count:
            return ()
        return tuple(sorted({frame + 1 for frame in frames}))

    def is_picture(self, uid: str) -> bool:
        """Whether the object can be the target of an IMAGE item."""
        return self.reference(uid).sop_class_uid in _PICTURES

    def patient_header(self, report: StudyReport) -> Dataset:
        """The header that patient and study are copied from: that of the first object of the report that has one.

        Raises:
            BadInput: there is none.
        """
        for loop in report.loops:
            if loop.source.sop_instance_uid in self.headers:
                return self.headers[loop.source.sop_instance_uid]
        for uid in sorted(self.headers):
            if self.study_of(uid) == self.study_uid:
                return self.headers[uid]
        raise BadInput("a report needs the header of at least one object of its study")

    def scanners(self, report: StudyReport) -> Iterable[Dataset]:
        """One header of each scanner that recorded an object of the report."""
        seen: set[tuple[str, ...]] = set()
        for loop in report.loops:
            header = self.headers.get(loop.source.sop_instance_uid)
            if header is None:
                continue
            keywords = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName")
            name = tuple(elements.text(header, keyword) for keyword in keywords)
            if name not in seen:
                seen.add(name)
                yield header


def _refusals(report: StudyReport) -> Iterable[Refused]:
    for loop in report.loops:
        yield from loop.refusals
    for group in report.groups:
        yield from group.refusals
    yield from report.refusals
