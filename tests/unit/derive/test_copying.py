"""What is copied goes into a patient's study: an invalid value makes the PACS refuse it, a changed one loses it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from echonode.core.settings import NodeSection
from echonode.derive.common import base_dataset, lossy_bookkeeping, set_character_set
from echonode.derive.copying import character_set_for, clean_date, clean_time, copy_elements

NOW = datetime(2026, 1, 2, 3, 4, 5)


def header(*, encoding: str = "latin-1", **values: Any) -> Dataset:
    """A header as it is read from a file: values not yet converted, right or wrong."""
    dataset = Dataset()
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        stored = ("\\".join(value) if isinstance(value, list) else value).encode(encoding)
        dataset[tag] = RawDataElement(Tag(tag), dictionary_VR(tag), len(stored), stored, 0, False, True)
    return dataset


def copied(keyword: str, value: Any) -> Any:
    target = Dataset()
    copy_elements(header(**{keyword: value}), target, [keyword])
    return target[keyword].value if keyword in target else None


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("StudyDate", "1994.01.30", "19940130"),
        ("StudyDate", "20260230", None),
        ("StudyTime", "11:25:01", "112501"),
        ("StudyTime", "25", None),
        ("PatientAge", "74", None),
        ("PatientAge", "074Y", "074Y"),
        ("PatientSex", "female!", None),
        ("StageName", "Im Post 400 and then some", "Im Post 400 and"),
        ("PatientID", "X" * 80, "X" * 80),
        ("PatientSize", "1,78", None),
        ("MechanicalIndex", "1.2", 1.2),
        ("StageNumber", "three", None),
        ("AcquisitionDateTime", "20260102030405.123+0100", "20260102030405.123+0100"),
    ],
)
def test_invalid_values_are_put_right_or_left_out(keyword: str, value: str, expected: object) -> None:
    assert copied(keyword, value) == expected


@given(st.text(max_size=12))
def test_no_text_ever_becomes_an_invalid_date_or_time(text: str) -> None:
    date, time = clean_date(text), clean_time(text)
    if date is not None:
        datetime.strptime(date, "%Y%m%d")
    assert time is None or time.replace(".", "").isdigit()


def test_items_are_copied_without_privates_empties_and_group_lengths() -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399214001", "SCT", "Apical four chamber"
    code.add_new(0x00080103, "SH", "")
    code.add_new(0x00540222, "SQ", [])
    code.add_new(0x00091001, "LO", "private")
    source = Dataset()
    source.ViewCodeSequence = [code]
    target = Dataset()
    copy_elements(source, target, ["ViewCodeSequence"])
    assert sorted(e.keyword for e in target.ViewCodeSequence[0]) == [
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
    ]


def test_type_2_attributes_are_there_even_when_the_source_has_none() -> None:
    dataset = base_dataset(header(PatientID="7"), node=NodeSection(), now=NOW)
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID", "AccessionNumber"):
        assert keyword in dataset
        assert not dataset[keyword].value
    assert dataset.PatientID == "7"


@pytest.mark.parametrize(
    ("charset", "name", "expected"),
    [
        (None, "Smith^John", None),
        ("ISO_IR 100", "Müller^Jörg", ["ISO_IR 100"]),
        ("ISO-IR 100", "Müller^Jörg", ["ISO_IR 100"]),
        ("ISO_IR 192", "山田^太郎", ["ISO_IR 192"]),
        ("LATIN-X", "Smith^John", ["ISO_IR 192"]),
        (None, "Müller^Jörg", ["ISO_IR 192"]),
    ],
)
def test_the_character_set_can_express_the_name(charset: str | None, name: str, expected: list[str] | None) -> None:
    terms = {"SpecificCharacterSet": charset} if charset else {}
    source = header(encoding="utf-8" if charset == "ISO_IR 192" else "latin-1", PatientName=name, **terms)
    target = Dataset()
    copy_elements(source, target, ["PatientName"])
    assert character_set_for(source, target) == expected
    set_character_set(source, target)
    assert str(target.PatientName) == name


def bookkeeping(source: Dataset, *, syntax: str, method: str | None = "ISO_10918_1") -> tuple[Dataset, str]:
    target = Dataset()
    ratio = 12.5 if method else None
    remark = lossy_bookkeeping(source, target, source_syntax=syntax, method=method, ratio=ratio)
    return target, remark


JPEG, RAW = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"


def test_our_ratio_and_method_come_after_the_source_s() -> None:
    source = header(
        LossyImageCompression="01", LossyImageCompressionRatio="13", LossyImageCompressionMethod="ISO_10918_1"
    )
    target, remark = bookkeeping(source, syntax=RAW)
    assert target.LossyImageCompression == "01"
    assert [float(value) for value in target.LossyImageCompressionRatio] == [13, 12.5]
    assert list(target.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_10918_1"]
    assert remark == ""


def test_the_method_of_a_jpeg_source_is_known_even_when_unsaid() -> None:
    target, _ = bookkeeping(header(LossyImageCompression="01", LossyImageCompressionRatio="10"), syntax=JPEG)
    assert len(target.LossyImageCompressionRatio) == len(target.LossyImageCompressionMethod) == 2


@pytest.mark.parametrize("values", [{}, {"LossyImageCompressionRatio": ["10", "4"]}])
def test_an_incomplete_history_is_told_in_words(values: dict[str, Any]) -> None:
    target, remark = bookkeeping(header(LossyImageCompression="01", **values), syntax=RAW)
    assert float(target.LossyImageCompressionRatio) == 12.5
    assert target.LossyImageCompressionMethod == "ISO_10918_1"
    assert "lossy before" in remark


def test_once_lossy_is_lossy_for_ever() -> None:
    assert bookkeeping(header(LossyImageCompression="01"), syntax=RAW, method=None)[0].LossyImageCompression == "01"
    assert bookkeeping(header(), syntax=JPEG, method=None)[0].LossyImageCompression == "01"
    clean, _ = bookkeeping(header(LossyImageCompression="00"), syntax=RAW, method=None)
    assert clean.LossyImageCompression == "00"
    assert "LossyImageCompressionRatio" not in clean


@pytest.mark.parametrize(
    ("term", "encoding", "name"),
    [
        ("ISO IR 126", "iso8859_7", "Διονυσιος"),
        ("ISO-IR 144", "iso8859_5", "Люкceмбypг"),
        ("iso_ir 192", "utf-8", "Müller^Jörg"),
    ],
)
def test_a_misspelt_character_set_spoils_no_name(term: str, encoding: str, name: str) -> None:
    """Scanners misspell the term; a result under a garbled name is filed under nobody."""
    source = header(encoding=encoding, SpecificCharacterSet=term, PatientName=name)
    target = Dataset()
    copy_elements(source, target, ["PatientName"])
    assert str(target.PatientName) == name
    assert character_set_for(source, target) == [term.upper().replace("ISO IR", "ISO_IR").replace("-", "_")]
