"""The few words in which a run is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from echonode.core.codes import Code
from echonode.core.errors import RunFailed
from echonode.core.results import Details, Embedding, Finding, Ineligible, LabelMap, Measurement
from echonode.flow.results import (
    SHORT,
    details_of,
    frames_exist,
    kept_of,
    line_of,
    marks_of,
    objects_of,
    values_in_words,
)

CENTIMETRE, NOTHING = Code("cm", "UCUM", "centimeter"), Code("1", "UCUM", "no units")
LABELS = LabelMap(labels=np.zeros((1, 2, 2), np.uint8), frames=(0,), segments={})


def number(meaning: str, value: float, unit: Code = CENTIMETRE, code: str = "X", **more: Any) -> Measurement:
    return Measurement(concept=Code(code, "LN", meaning), value=value, unit=unit, **more)


def made(*kinds: str) -> dict[str, Any]:
    return {"result": "published", "objects": [{"uid": "1", "kind": kind, "new": True} for kind in kinds]}


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (made("slow-motion"), "made slow-motion"),
        ({"result": "published", "kind": "slow-motion", "sop_instance_uid": "1"}, "made slow-motion"),
        (made("capture", "capture", "overlay"), "made 2 captures, overlay"),
        (made("capture") | {"values": ["EF 54 %"]}, "EF 54 %, 1 capture"),
        ({"result": "read", "values": [f"v{n}" for n in range(7)]}, "v0, v1, v2, v3, 3 more"),
        ({"result": "read", "values": ["HR 61 /min"], "reason": "no ECG"}, "HR 61 /min; refused: no ECG"),
        ({"result": "refused", "reason": "too short"}, "refused: too short"),
        ({"result": "superseded", "reason": "the view is A2C now"}, "not needed any more: the view is A2C now"),
        ({"result": "read"}, "nothing to tell"),
    ],
)
def test_an_outcome_is_one_line(outcome: dict[str, Any], line: str) -> None:
    """Who looks at a list of runs must see what came out without opening each."""
    assert line_of(outcome) == line


def test_values_are_written_as_people_write_them() -> None:
    """Twelve digits of a probability say nothing that three do not."""
    seen = Finding(concept=Code("111031", "DCM", "Image View"), value=Code("1", "X", "Apical"), confidence=0.934)
    results = [number("Diameter", 4.8123), number("Probability", 0.12345, NOTHING), number("V", 101.6), seen]
    assert values_in_words(results) == ["Diameter 4.81 cm", "Probability 0.123", "V 102 cm", "view Apical (93 %)"]


def test_values_are_kept_and_arrays_are_not() -> None:
    """A reading goes into the database; a feature vector does not."""
    refusal, value = Ineligible(reason="r"), number("a", 1)
    results = [value, Embedding(vector=np.zeros(2, np.float32), space="s"), LABELS, Details(values={"n": 1}), refusal]
    assert kept_of(results) == (value, refusal)
    assert details_of(results) == {"n": 1}


def test_the_frames_of_end_diastole_and_end_systole_are_marked() -> None:
    """The film must show which frames the volumes were read of."""
    results = [number("EDV", 100, code="79999-9", frames=(3,)), number("ESV", 50, code="80004-5", frames=(9,))]
    assert marks_of([*results, number("EF", 50, code="10230-1", frames=(3, 9))]) == {3: "ED", 9: "ES"}


def test_two_label_maps_of_one_run_are_a_fault_of_the_model(tmp_path: Any) -> None:
    """They would have one name, and the second would be lost without a word."""
    with pytest.raises(RunFailed, match="more than one"):
        objects_of([LABELS, LABELS], None)  # type: ignore[arg-type]


def test_single_planes_are_called_by_their_own_name() -> None:
    """LOINC 79993-2 is of the four-chamber view, 79992-4 of the two-chamber view (PS3.16 CID 12300)."""
    assert (SHORT["79993-2", "LN"], SHORT["79992-4", "LN"]) == ("EF A4C", "EF A2C")


@pytest.mark.parametrize(("frames", "fits"), [((), True), ((0, 4), True), ((1, 5), False), ((-1,), False)])
def test_frames_that_an_object_does_not_have_are_no_result(frames: tuple[int, ...], fits: bool) -> None:
    """A model that counts frames from 1 would keep the report of the whole study from coming."""
    ejection = Measurement(
        concept=Code("18043-0", "LN", "EF"), value=54, unit=Code("%", "UCUM", "percent"), frames=frames
    )
    assert frames_exist([ejection, Details(values={})], count=5) is fits
