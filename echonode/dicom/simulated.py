"""Objects that say themselves that they show no patient: those of echonode's phantom, on whichever node they were made."""

from __future__ import annotations

from echonode.dicom import elements
from echonode.dicom.elements import DataSet
from echonode.dicom.private_elements import private_bytes

PRIVATE_GROUP = 0x0099
PRIVATE_CREATOR = "ECHONODE PHANTOM"
ORIGIN = 0x02
"""Element of the block: LO the study and object of the cohort."""


def origin_of(header: DataSet) -> str | None:
    """The object's place in its cohort; None where the block is not there."""
    value = private_bytes(header, group=PRIVATE_GROUP, creator=PRIVATE_CREATOR, element=ORIGIN)
    return value.decode("ascii", "replace").strip(" \0") if value else None


def is_simulated(header: DataSet) -> bool:
    """Whether the header says, without a signature, that the object shows a simulated heart and no patient.

    All of it must be there: results that are derived from a patient's object are Synthetic Data too, and test pictures of
    a scanner are of a Quality Control Subject.
    """
    said = [elements.text(header, name).strip().upper() for name in ("SyntheticData", "QualityControlSubject")]
    return said == ["YES", "YES"] and origin_of(header) is not None
