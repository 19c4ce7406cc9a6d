"""What the door keeps for retrieval: frames that can be cut out of the stored file, and metadata as pydicom reads it."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from echonode.archive.archive import Archive
from echonode.archive.contents import Located
from echonode.core.errors import StorageUnavailable
from echonode.core.settings import LimitsSection
from echonode.flow.composing import composer
from tests.support.door import DoorBench, encoded, picture


def located(door: DoorBench, uid: str = "1.2.3.4") -> Located:
    found = door.archive.contents.located(study_uid="1.2.3", series_uid="1.2.3.1", sop_instance_uid=uid)
    assert found is not None
    return found


def cut(found: Located, index: int) -> bytes:
    stored = found.path.read_bytes()
    return b"".join(stored[offset : offset + length] for offset, length in found.frames.spans(index))


def metadata(door: DoorBench, **which: str) -> list[dict[str, Any]]:
    rows = door.archive.contents.metadata(study_uid="1.2.3", **which)
    return [json.loads(text.replace("\x01", "https://node/i")) for _, _, text in rows]


def test_native_frames_are_cut_out(door: DoorBench) -> None:
    pixels = np.arange(48, dtype=np.uint8).tobytes()
    door.send(picture(PixelData=pixels, NumberOfFrames="3"))
    found = located(door)
    assert found.frames.count == 3
    assert [cut(found, index) for index in range(3)] == [pixels[:16], pixels[16:32], pixels[32:]]
    assert (found.rows, found.columns, found.photometric, found.pixel_vr) == (4, 4, "MONOCHROME2", "OB")


@pytest.mark.parametrize("has_bot", [True, False])
@pytest.mark.parametrize("fragments", [1, 2])
def test_compressed_frames_are_cut_out(door: DoorBench, has_bot: bool, fragments: int) -> None:
    frames = [b"\xff\xd8" + bytes([number]) * 30 + b"\xff\xd9" for number in range(4)]
    dataset = picture(PixelData=encapsulate(frames, has_bot=has_bot, fragments_per_frame=fragments), NumberOfFrames="4")
    dataset["PixelData"].is_undefined_length = True
    door.send(dataset, syntax=str(JPEGBaseline8Bit))
    found = located(door)
    assert [cut(found, index) for index in range(found.frames.count)] == frames


def test_an_object_that_cannot_be_divided_is_stored_all_the_same(door: DoorBench) -> None:
    door.send(picture(NumberOfFrames="3"))
    assert located(door).frames.count == 0
    door.send(picture("1.2.3.5", PixelData=None))
    assert located(door, "1.2.3.5").pixel_vr == ""


def test_metadata_is_the_data_set_without_its_bulk(door: DoorBench) -> None:
    region = Dataset()
    region.RegionSpatialFormat = 1
    region.PhysicalDeltaX = 0.25
    dataset = picture(
        PatientName="Björk^Åsa=日本", ImageType=["ORIGINAL", "", "TTE"], SequenceOfUltrasoundRegions=[region],
        FrameTime="33.30", RedPaletteColorLookupTableData=bytes(2000), IconImageSequence=[],
    )  # fmt: skip
    door.send(dataset)
    (told,) = metadata(door)
    assert told["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Björk^Åsa", "Ideographic": "日本"}]}
    assert told["00080008"]["Value"] == ["ORIGINAL", None, "TTE"]
    assert told["00186011"]["Value"][0]["0018602C"] == {"vr": "FD", "Value": [0.25]}
    assert told["00181063"] == {"vr": "DS", "Value": [33.3]}
    assert told["00281201"] == {"vr": "OW", "BulkDataURI": "https://node/i/bulkdata/00281201"}
    assert told["7FE00010"] == {"vr": "OB", "BulkDataURI": "https://node/i/bulkdata/7FE00010"}
    assert told["00880200"] == {"vr": "SQ"}
    assert list(told) == sorted(told)


def test_a_value_cannot_forge_a_bulk_address(door: DoorBench) -> None:
    """A name that spells what stands for the address must come out as the letters that it is."""
    evil = 'x","BulkDataURI":"\x01/bulkdata/7FE00010'
    door.send(encoded(picture()).replace(b"Echo^Ada", b"Echo^A\x01a") + b"")
    door.send(picture("1.2.3.5", ImageComments=evil))
    texts = [text for _, _, text in door.archive.contents.metadata(study_uid="1.2.3")]
    assert [text.count("\x01") for text in texts] == [1, 1]
    assert metadata(door)[1]["00204000"]["Value"] == [evil]


def test_metadata_of_a_study_a_series_and_an_instance(door: DoorBench) -> None:
    door.send(picture("1.2.3.4"))
    door.send(picture("1.2.3.5", SeriesInstanceUID="1.2.3.2"))
    assert len(metadata(door)) == 2
    assert [m["00080018"]["Value"] for m in metadata(door, series_uid="1.2.3.2")] == [["1.2.3.5"]]
    assert len(metadata(door, series_uid="1.2.3.1", sop_instance_uid="1.2.3.4")) == 1
    assert metadata(door, series_uid="1.2.3.2", sop_instance_uid="1.2.3.4") == []


def test_what_an_older_version_stored_is_composed_on_first_use_and_kept(door: DoorBench) -> None:
    door.send(picture())
    before, (told,) = located(door), metadata(door)
    database = sqlite3.connect(door.root / "echonode.sqlite3")
    with database:
        database.execute("DELETE FROM content")
    limits = LimitsSection()
    archive = Archive.open(f"sqlite:///{door.root / 'echonode.sqlite3'}", composer=composer(limits))
    try:
        assert archive.contents.missing() == ["1.2.3.4"]
        again = archive.contents.located(study_uid="1.2.3", series_uid="1.2.3.1", sop_instance_uid="1.2.3.4")
        assert again == before
        assert metadata(door) == [told]
        assert archive.contents.missing() == []
    finally:
        archive.close()
        database.close()


def test_a_disk_that_fails_for_a_moment_hides_no_pixels_for_ever(door: DoorBench) -> None:
    """What is composed is kept: made of a file that could not be read it would say that there are none."""
    door.send(picture())
    before = located(door)
    with sqlite3.connect(door.root / "echonode.sqlite3") as database:
        database.execute("DELETE FROM content")
    database.close()
    archive = Archive.open(f"sqlite:///{door.root / 'echonode.sqlite3'}", composer=composer(LimitsSection()))
    find = partial(archive.contents.located, study_uid="1.2.3", series_uid="1.2.3.1", sop_instance_uid="1.2.3.4")
    aside = before.path.with_suffix(".aside")
    try:
        before.path.rename(aside)
        before.path.mkdir()  # reading fails, and not because the file is gone
        with pytest.raises(StorageUnavailable):
            find()
        assert archive.contents.missing() == ["1.2.3.4"]
        before.path.rmdir()
        aside.rename(before.path)
        assert find() == before
    finally:
        archive.close()


def test_hidden_objects_are_not_there(door: DoorBench) -> None:
    door.send(picture())
    with sqlite3.connect(door.root / "echonode.sqlite3") as database:
        database.execute("UPDATE instance SET hidden = 1")
    database.close()
    contents = door.archive.contents
    assert contents.located(study_uid="1.2.3", series_uid="1.2.3.1", sop_instance_uid="1.2.3.4") is None
    assert contents.located_all(study_uid="1.2.3") == []
    assert contents.metadata(study_uid="1.2.3") == []


def test_a_wrong_path_finds_nothing(door: DoorBench) -> None:
    door.send(picture())
    contents = door.archive.contents
    for path in (("9", "1.2.3.1", "1.2.3.4"), ("1.2.3", "9", "1.2.3.4"), ("1.2.3", "1.2.3.1", "9")):
        study, series, instance = path
        assert contents.located(study_uid=study, series_uid=series, sop_instance_uid=instance) is None
    uid = contents.located_uid("1.2.3.4")
    assert uid is not None
    assert uid.path.exists()
    assert (uid.study_uid, uid.series_uid) == ("1.2.3", "1.2.3.1")
    assert [each.sop_instance_uid for each in contents.located_all(study_uid="1.2.3", series_uid="1.2.3.1")] == [
        "1.2.3.4"
    ]
