"""The parts of a report that need no DICOM library: codes that exist, digits that mean something, frames that are there."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.errors import BadInput
from echonode.core.report import ObjectReference
from echonode.core.results import Measurement
from echonode.derive import report_codes as codes
from echonode.derive.report_items import person_name, plain
from echonode.derive.report_numbers import rounded, shown
from echonode.derive.report_sources import Sources
from echonode.dicom import quantities

MM, PERCENT, ML = Code("mm", "UCUM", "mm"), Code("%", "UCUM", "percent"), Code("mL", "UCUM", "mL")
MULTI_FRAME, SINGLE = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6"
# Outside what pydicom's dictionaries carry: a language, and the title of a container of TID 1500.
UNLISTED = {("en-US", "RFC5646"), ("C0034375", "UMLS")}


def every_code() -> list[Code]:
    named = [value for value in vars(codes).values() if isinstance(value, Code)]
    return named + list(codes.MODES.values()) + [code for _, code in codes._STAGES] + list(codes.MODALITIES.values())


def test_every_standard_code_is_in_the_dictionaries_and_no_private_one_is() -> None:
    for code in every_code():
        if (code.value, code.scheme) in UNLISTED or code.scheme == "UCUM":
            continue
        listed = any(code.value in entry for entry in concepts.get(code.scheme, {}).values())
        assert listed is (code.scheme != PRIVATE_SCHEME), code


def test_each_private_code_has_one_meaning() -> None:
    private = [code for code in every_code() if code.scheme == PRIVATE_SCHEME]
    assert len({code.value for code in private}) == len({code.meaning for code in private})


@pytest.mark.parametrize(
    ("value", "unit", "number", "words"),
    [
        (54.2371, PERCENT, 54.2, "54.2 %"),
        (48.25001, MM, 48.3, "48.3 mm"),
        (3.1416, MM, 3.14, "3.14 mm"),
        (9.2, ML, 9.2, "9.2 mL"),
        (71.6, Code("{H.B.}/min", "UCUM", "BPM"), 72, "72 bpm"),
        (0.4251, Code("1", "UCUM", "no units"), 0.43, "0.43"),
        (-18.25, PERCENT, -18.2, "-18.2 %"),
    ],
)
def test_digits_follow_the_unit(value: float, unit: Code, number: float, words: str) -> None:
    assert rounded(value, unit) == number
    assert shown(value, unit) == words


def test_an_uncertainty_has_the_digits_of_its_value_and_a_probability_none() -> None:
    assert rounded(2.04, MM, of=48.2) == 2.0
    assert rounded(0.25, MM, of=3.51) == 0.25
    said = rounded(37.4, PERCENT, concept=Code("PROB-WMA", PRIVATE_SCHEME, "Predicted probability"))
    assert said == 37
    assert isinstance(said, int)


def test_one_quantity_has_one_code_whichever_model_gave_it() -> None:
    def of(value: str, method: Code | None = None) -> Measurement:
        return codes.generic(Measurement(concept=Code(value, "LN", "some EF"), value=50, unit=PERCENT, method=method))

    assert of("10230-1").concept == of("79991-6").concept == of("18043-0").concept == codes.EJECTION_FRACTION
    assert of("79991-6").method == quantities.BIPLANE
    assert of("79993-2").method == of("79992-4").method == quantities.SINGLE_PLANE
    teichholz = Code("125209", "DCM", "Teichholz")
    assert of("10230-1", teichholz).method == teichholz, "the method that the model told was lost"


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("Baseline", "128975004"), ("REST", "128975004"), ("PRE-EXERCISE", "128975004"), ("Peak dose", "434161005"),
        ("Low Dose", "432655005"), ("Recovery", "432554001"), ("POST-EXERCISE", None), ("", None), (None, None),
        ("Stage 7", None),
    ],
)  # fmt: skip
def test_a_stage_is_coded_only_where_its_name_surely_means_one(stage: str | None, code: str | None) -> None:
    found = codes.stage_code(stage)
    assert (None if found is None else found.value) == code


def test_quality_is_told_in_thirds() -> None:
    assert codes.quality_code(0.67).value == "RID12"
    assert codes.quality_code(0.66).value == codes.quality_code(0.34).value == "RID13"
    assert codes.quality_code(0.33).value == "RID14"


def sources(frames: int | None, sop_class: str = MULTI_FRAME) -> Sources:
    header = Dataset()
    header.SOPInstanceUID, header.SOPClassUID, header.StudyInstanceUID = "1.2", sop_class, "1"
    if frames is not None:
        header.NumberOfFrames = frames
    reference = ObjectReference(sop_instance_uid="1.2", sop_class_uid=sop_class, series_uid="1.3")
    return Sources(study_uid="1", headers={"1.2": header}, known={"1.2": reference})


def test_frames_are_counted_from_one_and_left_out_where_the_whole_object_is_meant() -> None:
    assert sources(10).frame_numbers("1.2", (7, 0, 7)) == (1, 8)
    assert sources(10).frame_numbers("1.2", ()) == ()
    assert sources(3).frame_numbers("1.2", (0, 1, 2)) == (), "all frames are told by none"
    assert sources(None, SINGLE).frame_numbers("1.2", (0,)) == (), "a single picture has no frame number"
    assert sources(1).frame_numbers("1.2", (0,)) == ()


@pytest.mark.parametrize("frame", [10, -1])
def test_a_frame_that_is_not_there_is_an_error_and_no_wrong_reference(frame: int) -> None:
    with pytest.raises(BadInput, match="frame"):
        sources(10).frame_numbers("1.2", (frame,))


def test_an_object_that_nothing_is_known_of_is_an_error() -> None:
    with pytest.raises(BadInput, match="neither a header nor a reference"):
        sources(10).reference("9.9")


def test_typed_names_and_text_are_what_dicom_allows() -> None:
    assert person_name("Dr Ada Echo") == "Dr Ada Echo^"
    assert person_name("Echo^Ada") == "Echo^Ada"
    assert "\\" not in person_name("a\\b")
    assert plain("one\x00\x1b two\n") == "one two"
