"""What retrieval needs of an object, made of its header: at the door, and later for what an older version stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from echonode.archive.contents import Content
from echonode.archive.entry import Entry
from echonode.core.errors import EchonodeError, StorageUnavailable
from echonode.core.frame_table import FrameTable
from echonode.core.query import StoredInstance
from echonode.core.settings import LimitsSection
from echonode.dicom import elements
from echonode.dicom.frame_locations import frame_table_of
from echonode.dicom.header import SYNTAXES_DEFLATED, Header, read_header
from echonode.dicom.json_model import Model, model_of, text_of
from echonode.flow.inflation import read_deflated_header

log = structlog.get_logger(__name__)


def content_of(header: Header, model: Model, path: Path, *, transfer_syntax_uid: str, limits: LimitsSection) -> Content:
    """The content of the object in the Part 10 file `path`; an object that cannot be divided into frames has none.

    Raises:
        OSError: the file cannot be read.
    """
    dataset, pixels = header.item, header.pixels
    return Content(
        metadata=text_of(model),
        frames=frame_table_of(header, path, transfer_syntax_uid=transfer_syntax_uid, limits=limits),
        pixel_vr="" if pixels is None else pixels.vr or "OW",
        rows=elements.unsigned(dataset, "Rows") or 0,
        columns=elements.unsigned(dataset, "Columns") or 0,
        samples=elements.unsigned(dataset, "SamplesPerPixel") or 0,
        bits_allocated=elements.unsigned(dataset, "BitsAllocated") or 0,
        photometric=elements.text(dataset, "PhotometricInterpretation")[:16],
    )


def composer(limits: LimitsSection) -> Callable[[StoredInstance], Content]:
    """Makes contents of stored objects; of one whose file cannot be read any more, as much as the index knows."""

    def compose(stored: StoredInstance) -> Content:
        path, syntax = Path(stored.path), stored.transfer_syntax_uid
        reader = read_deflated_header if syntax in SYNTAXES_DEFLATED else read_header
        try:
            header = reader(path, offset=stored.dataset_offset, transfer_syntax_uid=syntax, limits=limits)
            return content_of(header, model_of(header), path, transfer_syntax_uid=syntax, limits=limits)
        except (EchonodeError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                # What is made here stays: a disk that fails for a moment must not hide the pixels for ever.
                raise StorageUnavailable(f"a stored file cannot be read: {error.strerror}") from error
            log.warning("the header of a stored object cannot be read", error=type(error).__name__)
            return Content(metadata=text_of(named_model(stored)), frames=FrameTable())

    return compose


def named_model(stored: StoredInstance | Entry) -> Model:
    """The least that metadata says of an object: what it is and where it belongs."""
    uids = {
        "00080016": stored.sop_class_uid,
        "00080018": stored.sop_instance_uid,
        "0020000D": stored.study_uid,
        "0020000E": stored.series_uid,
    }
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
