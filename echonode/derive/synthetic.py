"""A picture that shows no patient, as a synthetic Secondary Capture (PS3.3 A.8.1), by default outside any patient's study.

Modality OT, so that nothing that analyses echocardiograms takes it for one; no regions and no spacing, so that nobody
measures on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from echonode.core.codes import SYNTHESIS, SYNTHESIZING_EQUIPMENT
from echonode.core.errors import BadInput
from echonode.core.identity import derived_uid
from echonode.core.package import Package
from echonode.core.results import Picture
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    code_item,
    contribute,
    declare_private_scheme,
    lossy_bookkeeping,
    our_equipment,
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
from echonode.derive.names import Names, result_names
from echonode.dicom import elements
from echonode.dicom.pixels import open_pixels

KIND = "synthetic"
SERIES_NUMBER = 9005
NOT_A_PATIENT = "SYNTHETIC - NOT A PATIENT IMAGE"
BANNER = f"{RESEARCH_USE_ONLY} / {NOT_A_PATIENT}"
NARROWEST: Final = 480  # pixels: the banner needs as much
FIRST_SEED: Final = 0  # what a run takes that names none
_TOLD: Final = ("sampler", "steps", "respacing", "eta", "guidance", "seed", "number", "frame")


def build_synthetic(
    source: Path | None,
    picture: Picture,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    index: int = 0,
    node: NodeSection,
    now: datetime,
    in_patient_study: bool = False,
    revision: int = 0,
    patient: Mapping[str, Any] | None = None,
    limits: LimitsSection | None = None,
) -> DerivedObject:
    """`picture` as an uncompressed object that writes itself, with the banner burnt in above it.

    Outside the patient's study it belongs to a patient that does not exist, "SYNTHETIC-..." and a study of its own, the
    same for all pictures of a model; nothing in it refers to `source`, from which only its UID is hashed. With
    `in_patient_study` it is a series of the study of `source` and names it as what it was made from. `index` counts the
    pictures of one run from 0; `parameters` are told in the derivation: sampler, steps, seed.

    Raises:
        BadInput: no RGB picture, one that is not synthetic, or no source to whose study it could belong.
    """
    if not picture.synthetic:
        raise BadInput("a picture of a patient is not synthetic")
    if in_patient_study and source is None:
        raise BadInput("a picture that was made from no object belongs to no patient's study")
    check_picture(picture)
    limits = limits or LimitsSection()
    study = _research_study(package)
    origin, digest = "", hashlib.sha256(np.ascontiguousarray(picture.pixels).tobytes()).hexdigest()
    if source is not None:
        with open_pixels(source, limits=limits) as pixels:
            origin, digest = elements.text(pixels.header, "SOPInstanceUID"), pixels.digest()
            if in_patient_study:
                study = elements.text(pixels.header, "StudyInstanceUID")
    names = result_names(
        KIND,
        study_uid=study,
        source_uid=origin,
        pixel_digest=digest,
        package=package,
        parameters=parameters,
        index=index,
        revision=revision,
    )
    writer = _SyntheticWriter(
        source=source if in_patient_study else None,
        picture=picture,
        package=package,
        parameters=parameters,
        index=index,
        node=node,
        now=now,
        patient=patient,
        limits=limits,
        names=names,
    )
    return names.derived_object(
        KIND, sop_class_uid=CAPTURE, transfer_syntax_uid=ExplicitVRLittleEndian, write=writer.write
    )


def _research_study(package: Package) -> str:
    return derived_uid("synthetic study", package.name, package.version, package.digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class _SyntheticWriter:
    source: Path | None
    picture: Picture
    package: Package
    parameters: Mapping[str, Any]
    index: int
    node: NodeSection
    now: datetime
    patient: Mapping[str, Any] | None
    limits: LimitsSection
    names: Names

    def write(self, path: Path) -> None:
        """Header and pixels to `path`."""
        margin = Margin(
            above=(BANNER,), below=(f"{self.package.name} {self.package.version}  {self._how()}",), alert=True
        )
        shown = margin.around(colour_of(self.picture.pixels), narrowest=NARROWEST)
        with FrameSpool(path, [shown.tobytes()]) as spool:
            spool.write(self._dataset(shown), transfer_syntax_uid=ExplicitVRLittleEndian)

    def _how(self) -> str:
        usual = {name: self.package.config[name] for name in _TOLD if name in self.package.config}
        if "steps" in self.parameters:
            usual.pop("respacing", None)
        told = {"seed": FIRST_SEED, **usual, **self.parameters}
        return ", ".join(f"{name} {told[name]}" for name in _TOLD if name in told)

    def _dataset(self, shown: np.ndarray) -> Dataset:
        dataset = self._nobody() if self.source is None else self._beside(self.source)
        self.names.put_on(dataset, sop_class_uid=CAPTURE)
        dataset.SyntheticData = "YES"
        dataset.ImageComments = BANNER
        dataset.BurnedInAnnotation = "NO"
        describe_pixels(dataset, rows=shown.shape[0], columns=shown.shape[1], photometric="RGB")
        dataset.DerivationCodeSequence = Sequence([code_item(SYNTHESIS)])
        declare_private_scheme(dataset)
        how = self._how()
        dataset.DerivationDescription = sentences(
            f"{BANNER}. Not for measurement, not for diagnosis.",
            f"Made by {model_words(self.package)}{f' with {how}' if how else ''}, picture {self.index + 1} of its run.",
            dataset.get("DerivationDescription", ""),
        )
        return dataset

    def _heading(self, header: Dataset, now: datetime) -> Dataset:
        dataset = picture_heading(
            header,
            package=self.package,
            node=self.node,
            now=now,
            modality="OT",
            series_number=SERIES_NUMBER,
            series="Synthetic",
            index=self.index,
        )
        describe_capture(dataset, package=self.package, conversion="SYN", now=now)
        return dataset

    def _nobody(self) -> Dataset:
        """Of a patient that does not exist."""
        package = self.package
        header = Dataset()
        header.PatientName = f"SYNTHETIC^{package.name}"[:64]
        header.PatientID = f"SYNTHETIC-{package.digest[:12].upper()}"
        header.StudyInstanceUID = self.names.study_uid
        header.StudyID = "SYNTHETIC"
        header.StudyDescription = f"Synthetic pictures, no patient - {RESEARCH_USE_ONLY}"
        dataset = self._heading(header, self.now)
        dataset.InstanceNumber = self.index + 1
        dataset.LossyImageCompression = "00"
        role = our_equipment(SYNTHESIZING_EQUIPMENT, package, node=self.node, now=self.now)
        dataset.ContributingEquipmentSequence = Sequence([role])
        set_character_set(header, dataset)
        return dataset

    def _beside(self, source: Path) -> Dataset:
        """In the study of the object that it was made from."""
        with open_pixels(source, limits=self.limits) as pixels:
            header, syntax = with_identity(pixels.header, self.patient), pixels.transfer_syntax_uid
        now = study_time(header, self.now)
        dataset = self._heading(header, now)
        reference_source(header, dataset, locations_preserved=False)
        contribute(header, dataset, role=SYNTHESIZING_EQUIPMENT, package=self.package, node=self.node, now=now)
        dataset.DerivationDescription = lossy_bookkeeping(
            header, dataset, source_syntax=syntax, method=None, ratio=None
        )
        set_character_set(header, dataset)
        return dataset
