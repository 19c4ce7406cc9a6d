"""The UIDs of derived objects: the same for the same source, pixels, model and parameters, so that a retry makes no second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from echonode.core.identity import derived_uid, digest_of
from echonode.core.package import Package
from echonode.derive.common import DerivedObject
from echonode.dicom import elements
from echonode.dicom.pixels import PixelSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The UIDs of one derived object: of the study and the series that it belongs to, and its own."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str

    def put_on(self, dataset: Dataset, *, sop_class_uid: str) -> None:
        """Write class, instance and series; the study came with what was copied from the source."""
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, self.sop_instance_uid
        dataset.SeriesInstanceUID = self.series_uid

    def derived_object(
        self, kind: str, *, sop_class_uid: str, transfer_syntax_uid: str, write: Callable[[Path], None]
    ) -> DerivedObject:
        """The object of these names that `write` writes."""
        return DerivedObject(
            sop_instance_uid=self.sop_instance_uid,
            sop_class_uid=sop_class_uid,
            series_uid=self.series_uid,
            study_uid=self.study_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            kind=kind,
            write=write,
        )


def names_in_study_of(
    pixels: PixelSource,
    kind: str,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    index: int = 0,
    revision: int = 0,
) -> Names:
    """The names of what a model made of an open source, in the study of that; the rest as `result_names`."""
    return result_names(
        kind,
        study_uid=elements.text(pixels.header, "StudyInstanceUID"),
        source_uid=elements.text(pixels.header, "SOPInstanceUID"),
        pixel_digest=pixels.digest(),
        package=package,
        parameters=parameters,
        index=index,
        revision=revision,
    )


def result_names(
    kind: str,
    *,
    study_uid: str,
    source_uid: str,
    pixel_digest: str,
    package: Package,
    parameters: Mapping[str, Any],
    index: int = 0,
    revision: int = 0,
) -> Names:
    """The names of what a model made of one source: the same for the same pixels, model, parameters and revision.

    `index` counts the results of one kind of one run from 0; `revision` counts corrections of the header (a patient
    merge), which need a new object for the same pixels. All results of one kind and model version share a series.
    """
    model = (package.name, package.version)
    told = (pixel_digest, *model, package.digest, digest_of(parameters), str(index), str(revision))
    return Names(
        study_uid=study_uid,
        series_uid=derived_uid("series", kind, study_uid, *model, str(revision)),
        sop_instance_uid=derived_uid(kind, study_uid, source_uid, *told),
    )
