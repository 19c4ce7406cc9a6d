"""A picture that a model drew of a loop or a strip, as a Secondary Capture in the study (PS3.3 A.8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from echonode.core.codes import PROCESSING_EQUIPMENT
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import Picture
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    contribute,
    lossy_bookkeeping,
    reference_source,
    set_character_set,
    study_time,
    with_identity,
)
from echonode.derive.encapsulated import FrameSpool
from echonode.derive.heading import (
    CAPTURE,
    check_picture,
    colour_of,
    describe_capture,
    describe_pixels,
    model_words,
    picture_heading,
    sentences,
)
from echonode.derive.margin import Margin
from echonode.derive.names import Names, names_in_study_of
from echonode.dicom.pixels import PixelSource, open_pixels

KIND = "capture"
SERIES_NUMBER = 9004


def build_capture(
    source: Path,
    picture: Picture,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    index: int = 0,
    node: NodeSection,
    now: datetime,
    revision: int = 0,
    patient: Mapping[str, Any] | None = None,
    limits: LimitsSection | None = None,
    identifies: bool = False,
) -> DerivedObject:
    """`picture`, drawn of the DICOM file `source`, as an uncompressed object that writes itself.

    At most 1024 pixels a side, with a line below that names the model and says that it is for research. `index` counts
    the pictures of one run from 0. `identifies` says that the picture itself shows who the patient is. It carries no
    calibration.

    Raises:
        BadInput: no RGB picture, or one that shows no patient: `build_synthetic` makes an object of that.
    """
    if picture.synthetic:
        raise BadInput("a synthetic picture is no capture of a patient")
    check_picture(picture)
    limits = limits or LimitsSection()
    with open_pixels(source, limits=limits) as pixels:
        names = names_in_study_of(pixels, KIND, package=package, parameters=parameters, index=index, revision=revision)
    writer = _CaptureWriter(
        source=source,
        picture=picture,
        package=package,
        index=index,
        node=node,
        now=now,
        patient=patient,
        limits=limits,
        identifies=identifies,
        names=names,
    )
    return names.derived_object(
        KIND, sop_class_uid=CAPTURE, transfer_syntax_uid=ExplicitVRLittleEndian, write=writer.write
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _CaptureWriter:
    source: Path
    picture: Picture
    package: Package
    index: int
    node: NodeSection
    now: datetime
    patient: Mapping[str, Any] | None
    limits: LimitsSection
    identifies: bool
    names: Names

    def write(self, path: Path) -> None:
        """Header and pixels to `path`."""
        package = self.package
        footer = f"echonode {package.name} {package.version} - {RESEARCH_USE_ONLY}"
        shown = Margin(below=(footer,)).around(colour_of(self.picture.pixels))
        with FrameSpool(path, [shown.tobytes()]) as spool:
            with open_pixels(self.source, limits=self.limits) as pixels:
                dataset = self._dataset(pixels, shown)
            spool.write(dataset, transfer_syntax_uid=ExplicitVRLittleEndian)

    def _dataset(self, pixels: PixelSource, shown: np.ndarray) -> Dataset:
        header, package = with_identity(pixels.header, self.patient), self.package
        now = study_time(header, self.now)
        dataset = picture_heading(
            header,
            package=package,
            node=self.node,
            now=now,
            modality="US",
            series_number=SERIES_NUMBER,
            series="Measurement picture",
            index=self.index,
        )
        self.names.put_on(dataset, sop_class_uid=CAPTURE)
        describe_capture(dataset, package=package, conversion="WSD", now=now)
        dataset.ImageComments = f"{self.picture.title} - {RESEARCH_USE_ONLY}"
        dataset.BurnedInAnnotation = "YES" if self.identifies else "NO"
        describe_pixels(dataset, rows=shown.shape[0], columns=shown.shape[1], photometric="RGB")
        reference_source(header, dataset, locations_preserved=False)
        contribute(header, dataset, role=PROCESSING_EQUIPMENT, package=package, node=self.node, now=now)
        remark = lossy_bookkeeping(header, dataset, source_syntax=pixels.transfer_syntax_uid, method=None, ratio=None)
        dataset.DerivationDescription = sentences(
            f"{RESEARCH_USE_ONLY}. Not for measurement.",
            f"{self.picture.title}: drawn by {model_words(package)}.",
            remark,
        )
        set_character_set(header, dataset)
        return dataset
