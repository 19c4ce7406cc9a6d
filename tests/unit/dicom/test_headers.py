"""Odd headers come from real scanners: a wrong reading calibrates a picture that has no scale."""

from __future__ import annotations

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from echonode.core.clip import Mode
from echonode.core.identity import IMPLEMENTATION_CLASS_UID
from echonode.dicom import elements
from echonode.dicom.facts import PRIVATE_CREATOR, facts_of, is_ours
from echonode.dicom.regions import is_calibrated, regions_of
from echonode.dicom.views import VIEWS, view_of

US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def region(**changes: object) -> Dataset:
    item = Dataset()
    values: dict[str, object] = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "RegionFlags": 0,
        "RegionLocationMinX0": 0,
        "RegionLocationMinY0": 0,
        "RegionLocationMaxX1": 99,
        "RegionLocationMaxY1": 79,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.02,
        "PhysicalDeltaY": 0.02,
    }
    for keyword, value in (values | changes).items():
        if value is not None:
            setattr(item, keyword, value)
    return item


def echo(*regions: Dataset, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality, dataset.Rows, dataset.Columns = US_MULTIFRAME, "US", 80, 100
    if regions:
        dataset.SequenceOfUltrasoundRegions = list(regions)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def mode(dataset: Dataset) -> Mode:
    return facts_of(dataset, transfer_syntax_uid="1.2.840.10008.1.2.1").mode


@pytest.mark.parametrize(
    ("changes", "calibrated"),
    [
        ({}, True),
        ({"PhysicalDeltaX": -0.03}, True),
        ({"RegionLocationMaxX1": 100}, True),
        ({"RegionLocationMaxX1": 595, "RegionLocationMaxY1": 414}, False),
        ({"PhysicalDeltaX": 0.0}, False),
        ({"PhysicalDeltaX": None}, False),
        ({"PhysicalUnitsXDirection": None}, False),
        ({"RegionSpatialFormat": 3}, False),
        ({"RegionLocationMaxX1": 0}, False),
    ],
)
def test_only_a_region_that_fits_the_picture_calibrates_it(changes: dict[str, object], calibrated: bool) -> None:
    assert is_calibrated(regions_of(echo(region(**changes))), rows=80, columns=100) is calibrated


def test_a_region_without_a_box_is_left_out_and_the_others_stay() -> None:
    found = regions_of(echo(region(RegionLocationMinX0=None), region()))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("regions", "values", "expected"),
    [
        ([{"RegionSpatialFormat": 3, "RegionDataType": 3}], {}, Mode.PW),
        ([{"RegionSpatialFormat": 3, "RegionDataType": 4}], {}, Mode.CW),
        ([{"RegionSpatialFormat": 3, "RegionDataType": 3}], {"ProtocolName": "TDI septal"}, Mode.TDI),
        ([{}, {"RegionSpatialFormat": 2, "PhysicalUnitsXDirection": 4}], {}, Mode.M_MODE),
        ([{"RegionSpatialFormat": 2, "RegionDataType": 2}], {}, Mode.COLOUR_M_MODE),
        ([{}, {"RegionDataType": 2}], {}, Mode.COLOUR),
        ([{}], {}, Mode.B_MODE),
        ([{}], {"ImageType": ["ORIGINAL", "PRIMARY", "TTE", "0011"]}, Mode.COLOUR),
        ([], {"ImageType": ["ORIGINAL", "PRIMARY", "", "0002"]}, Mode.M_MODE),
        ([], {"ImageType": ["ORIGINAL", "PRIMARY"]}, Mode.UNKNOWN),
        ([], {"ImageType": ["ORIGINAL", "PRIMARY", "TTE", "ECHO"]}, Mode.UNKNOWN),
        ([{}], {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.2"}, Mode.VOLUME),
        ([{}], {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Mode.REPORT),
        ([], {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR"}, Mode.REPORT),
        ([], {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, Mode.UNKNOWN),
    ],
)
def test_the_mode_follows_class_regions_and_image_type(
    regions: list[dict[str, object]], values: dict[str, object], expected: Mode
) -> None:
    dataset = echo(*(region(**changes) for changes in regions), **values)
    assert mode(dataset) is expected


@pytest.mark.parametrize(
    ("code", "scheme", "name"),
    [
        ("399214001", "SCT", "A4C"),
        ("399139001", "SCT", "PLAX"),
        ("399339008", "SCT", "A3C"),
        ("G-A19C", "SRT", "A4C"),
        ("G-0396", "SRT", "PLAX"),
        ("130681", "DCM", "A4C-RV"),
        ("G-A19C", "SCT", None),
        ("1", "99VENDOR", None),
    ],
)
def test_a_view_is_read_from_its_code_old_or_new(code: str, scheme: str, name: str | None) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "view"
    found, reason = view_of(echo(ViewCodeSequence=[item]))
    assert found == name
    assert code in reason


@pytest.mark.parametrize(("text", "name"), [("A4C", "A4C"), ("Ap 4", "A4C"), ("PLAX", "PLAX"), ("my view", None)])
def test_a_view_name_is_taken_when_it_is_a_known_one(text: str, name: str | None) -> None:
    assert view_of(echo(ViewName=text))[0] == name


def test_without_a_view_the_reason_is_said() -> None:
    assert view_of(echo()) == (None, "the header has neither View Code Sequence nor View Name")
    assert set(VIEWS) >= {"PLAX", "PSAX", "A4C", "A2C", "A3C", "A5C"}


def raw(keyword_tag: int, vr: str | None, value: bytes) -> Dataset:
    dataset = Dataset()
    dataset[Tag(keyword_tag)] = RawDataElement(Tag(keyword_tag), vr, len(value), value, 0, False, True)
    return dataset


def test_malformed_values_are_absent_values() -> None:
    assert elements.decimal(raw(0x00181063, "DS", b"33,333 "), "FrameTime") == 33.333
    assert elements.decimal(raw(0x00181063, "DS", b"fast"), "FrameTime") is None
    assert elements.decimal(raw(0x00181063, "DS", b"nan "), "FrameTime") is None
    assert elements.integer(raw(0x00280008, "IS", b"30.0"), "NumberOfFrames") == 30
    assert elements.unsigned(raw(0x00280010, "UL", b"\x60\xea\x00\x00"), "Rows") == 60000
    assert elements.unsigned(raw(0x00280010, None, b"\x60"), "Rows") == 0x60
    assert elements.unsigned(raw(0x00280010, "US", b""), "Rows") is None
    assert elements.items(raw(0x00186011, "SQ", b"\x01"), "SequenceOfUltrasoundRegions") == []


def test_text_in_an_unknown_character_set_is_still_text() -> None:
    dataset = raw(0x00082120, "SH", b"Pr\xe4 ")
    dataset[Tag(0x00080005)] = RawDataElement(Tag(0x00080005), "CS", 10, b"ISO-IR 100", 0, False, True)
    assert elements.text(dataset, "StageName") == "Prä"


@pytest.mark.parametrize("mark", ["creator", "private", "equipment"])
def test_any_one_of_three_marks_tells_our_own_objects(mark: str) -> None:
    dataset = echo(region())
    assert not is_ours(dataset)
    if mark == "creator":
        dataset.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID
    elif mark == "private":
        dataset.private_block(0x0099, PRIVATE_CREATOR, create=True)
    else:
        item = Dataset()
        item.Manufacturer = "echonode"
        dataset.ContributingEquipmentSequence = [item]
    assert facts_of(dataset, transfer_syntax_uid="").derived


def test_a_claim_of_a_billion_frames_makes_no_array() -> None:
    dataset = echo(region(), NumberOfFrames=1_000_000_000, FrameTime="30")
    facts = facts_of(dataset, transfer_syntax_uid="")
    assert facts.frames == 1_000_000_000
    assert facts.frame_time_ms is None
