"""Metadata and frame tables of real ultrasound files agree with what pydicom reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydicom import dcmread

from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection
from echonode.dicom.frame_locations import frame_table_of
from echonode.dicom.header import read_header
from echonode.dicom.json_model import MARK, model_of, text_of
from echonode.dicom.pixels import open_pixels

LIMITS = LimitsSection()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "ultrasound").rglob("*") if path.is_file())


def same(mine: dict[str, Any] | None, theirs: dict[str, Any]) -> bool:
    """Whether two elements say the same: empty values are null here, bulk is not compared."""
    if mine is None or mine["vr"] != theirs["vr"]:
        return False
    if "BulkDataURI" in mine or "InlineBinary" in mine:
        return "BulkDataURI" in mine or mine["InlineBinary"] == theirs["InlineBinary"]
    if mine["vr"] == "SQ":
        pairs = zip(mine.get("Value", []), theirs.get("Value", []), strict=True)
        return all(same(one.get(tag), other[tag]) for one, other in pairs for tag in other if not tag.endswith("0000"))
    values = [None if value in ("", {"Alphabetic": "^^"}) else value for value in theirs.get("Value", [])]
    return (mine.get("Value") or [None]) == (values or [None]) or not any(values)


@pytest.mark.filterwarnings("ignore")
def test_metadata_and_frames_of_real_files(shared_data: Path) -> None:
    """A viewer that reads our metadata must see the values that the file has; a frame must be that frame."""
    seen = cut = 0
    for path in files(shared_data):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reference = dcmread(path, stop_before_pixels=True)
                theirs = reference.to_json_dict(suppress_invalid_tags=True)
            offset = 144 + reference.file_meta.FileMetaInformationGroupLength
            syntax = str(reference.file_meta.TransferSyntaxUID)
            header = read_header(path, offset=offset, transfer_syntax_uid=syntax, limits=LIMITS)
        except Exception:  # noqa: BLE001  what pydicom or the door refuse is no matter of this test
            continue
        mine = orjson.loads(text_of(model_of(header)).replace(MARK, ""))
        wrong = {
            tag: (mine.get(tag), element)
            for tag, element in theirs.items()
            if not tag.endswith("0000") and tag not in ("00080005", "FFFCFFFC") and not same(mine.get(tag), element)
        }
        assert wrong == {}, path.name
        seen += 1
        table = frame_table_of(header, path, transfer_syntax_uid=syntax, limits=LIMITS)
        try:
            with open_pixels(path, limits=LIMITS) as source:
                content = path.read_bytes()
                assert table.count == (0 if source.is_video else source.frames), path.name
                for index in {0, table.count // 2, table.count - 1} if table.count else ():
                    spans = table.spans(index)
                    assert b"".join(content[at : at + size] for at, size in spans) == source.frame_bytes(index)
                    cut += 1
        except EchonodeError:
            continue
    assert seen >= 10
    assert cut >= 20
