"""The three panes as a Multi-frame Secondary Capture (PS3.3 A.8.3, A.8.5) in the study of their source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from echonode.core.codes import SYNTHESIZING_EQUIPMENT
from echonode.core.package import Package
from echonode.core.results import Loop
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.cine import cine_parameters
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    contribute,
    lossy_bookkeeping,
    reference_source,
    set_character_set,
    study_time,
)
from echonode.derive.copying import copy_elements
from echonode.derive.encapsulated import FrameSpool
from echonode.derive.frames import FAITHFUL_DB
from echonode.derive.heading import (
    COLOUR_CAPTURE,
    GREYSCALE_CAPTURE,
    burned_in,
    describe_capture,
    describe_pixels,
    describe_playback,
    model_words,
    sentences,
    slow_motion_heading,
)
from echonode.derive.jpeg import JpegStyle, encode, style_for
from echonode.derive.names import Names, names_in_study_of
from echonode.derive.panes import Panes
from echonode.dicom.decode import JPEG_BASELINE
from echonode.dicom.lossy import METHOD_OF_SYNTAX
from echonode.dicom.pixels import PixelSource, open_pixels

KIND = "capture"
NAME = "slow-motion-comparison"
SERIES_NUMBER = 9009


def build_movie(
    source: Path,
    loop: Loop,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    node: NodeSection,
    now: datetime,
    revision: int = 0,
    limits: LimitsSection | None = None,
) -> DerivedObject:
    """The comparison of `loop`, computed from the DICOM file `source`, as an object that writes itself.

    JPEG baseline; grey for a grey loop. It carries no calibration: nobody measures on it. `parameters` as `build_cine`,
    of which timing ("slow" or "true_time") counts here.

    Raises:
        BadInput: parameters that are none.
    """
    parameters = cine_parameters(parameters)
    limits = limits or LimitsSection()
    panes = Panes(loop=loop, true_time=parameters["timing"] == "true_time")
    with open_pixels(source, limits=limits) as pixels:
        names = names_in_study_of(pixels, NAME, package=package, parameters=parameters, revision=revision)
    writer = _MovieWriter(
        source=source,
        panes=panes,
        package=package,
        node=node,
        now=now,
        limits=limits,
        names=names,
        sop_class_uid=GREYSCALE_CAPTURE if panes.channels == 1 else COLOUR_CAPTURE,
    )
    return names.derived_object(
        KIND, sop_class_uid=writer.sop_class_uid, transfer_syntax_uid=JPEG_BASELINE, write=writer.write
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _MovieWriter:
    source: Path
    panes: Panes
    package: Package
    node: NodeSection
    now: datetime
    limits: LimitsSection
    names: Names
    sop_class_uid: str

    def write(self, path: Path) -> None:
        """Encode every frame to a spool beside `path`, then write header and pixels to `path`."""
        panes = self.panes
        style = style_for(panes.frame(0), faithful_db=FAITHFUL_DB)
        rows, columns = panes.size
        with FrameSpool(path, self._encoded(style)) as spool:
            raw = panes.count * rows * columns * panes.channels
            with open_pixels(self.source, limits=self.limits) as pixels:
                dataset = self._dataset(pixels, ratio=round(raw / max(spool.total, 1), 3))
            spool.write(dataset, transfer_syntax_uid=JPEG_BASELINE)

    def _encoded(self, style: JpegStyle) -> Iterator[bytes]:
        for picture in self.panes:
            yield encode(picture, style)

    def _dataset(self, pixels: PixelSource, *, ratio: float) -> Dataset:
        header, loop, package = pixels.header, self.panes.loop, self.package
        now = study_time(header, self.now)
        dataset = slow_motion_heading(
            header,
            package=package,
            node=self.node,
            now=now,
            series_number=SERIES_NUMBER,
            series=f"Slow motion compared {package.name}",
        )
        self.names.put_on(dataset, sop_class_uid=self.sop_class_uid)
        copy_elements(header, dataset, ("ViewName", "StageName"))
        dataset.ImageComments = f"ORIGINAL, AI SLOW MOTION x{loop.factor}, FRAMES REPEATED - {RESEARCH_USE_ONLY}"
        describe_capture(dataset, package=package, conversion="WSD", now=now)
        # Text of the screen is cut away with what surrounds the sector, but nobody has looked whether all of it is.
        dataset.BurnedInAnnotation = burned_in(header)
        self._describe_pixels(dataset)
        describe_playback(dataset, interval_ms=self.panes.interval_ms)
        reference_source(header, dataset, locations_preserved=False)
        contribute(header, dataset, role=SYNTHESIZING_EQUIPMENT, package=package, node=self.node, now=now)
        remark = lossy_bookkeeping(
            header,
            dataset,
            source_syntax=pixels.transfer_syntax_uid,
            method=METHOD_OF_SYNTAX[JPEG_BASELINE],
            ratio=ratio,
        )
        dataset.DerivationDescription = self._described(remark)
        set_character_set(header, dataset)
        return dataset

    def _described(self, remark: str) -> str:
        loop = self.panes.loop
        speed = "as fast as it was" if self.panes.true_time else f"{loop.factor} times slower than real time"
        return sentences(
            f"{RESEARCH_USE_ONLY}. Not for measurement.",
            f"Left the recorded loop in real time, in the middle slow motion x{loop.factor} by "
            f"{model_words(self.package)}, right the same with recorded frames repeated.",
            f"The middle and right panes play {speed} and show the same moment; frames marked INTERPOLATED were never "
            "seen by the probe.",
            *loop.notes,
            remark,
        )

    def _describe_pixels(self, dataset: Dataset) -> None:
        """Image Pixel module, and of a grey capture how its values are shown (PS3.3 C.8.6.3)."""
        (rows, columns), grey = self.panes.size, self.panes.channels == 1
        describe_pixels(dataset, rows=rows, columns=columns, photometric="MONOCHROME2" if grey else "YBR_FULL_422")
        dataset.NumberOfFrames = self.panes.count
        if grey:
            dataset.PresentationLUTShape = "IDENTITY"
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
