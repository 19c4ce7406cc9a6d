"""Both planes of a study: a volume of planes that do not belong together would look like the best number there is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible
from echonode.tasks.segmentation.combine import combine

LIMITS = {"biplane EF": {"half_width": 6.8, "basis": "a locked test"}}


def kept(
    uid: str, view: str | None, *, length: float = 80.0, width: float = 40.0, digest: str = "d", **changes: Any
) -> KeptReading:
    def disks(wide: float) -> dict[str, Any]:
        return {"length_mm": length, "diameters_mm": [wide] * 20}

    ventricle = {
        "view": view, "ed_frames": [0, 30], "es_frames": [12], "beats": [{"ed_frame": 0, "es_frame": 12}],
        "beat_ms": 900.0, "whole_beats": 1, "calibrated": True, "end_diastole": disks(width),
        "end_systole": disks(width / 2), "atrium": None,
    } | changes  # fmt: skip
    return KeptReading(
        sop_instance_uid=uid, study_uid="2.25.1", task="segmentation", model="left-heart", version="1", digest=digest,
        route="r", work_id=uid, view=view, details={"ventricle": ventricle, "limits_95": LIMITS, "preparation": "clinical"},
    )  # fmt: skip


def values_of(*readings: KeptReading) -> dict[str, StudyValue]:
    said = combine(readings)
    return {each.measurement.concept.value: each for each in said if isinstance(each, StudyValue)}


def reason_of(*readings: KeptReading) -> str:
    (said,) = combine(readings)
    assert isinstance(said, Ineligible)
    return said.reason


def test_both_planes_make_the_studys_volumes() -> None:
    found = values_of(kept("1", "A4C"), kept("2", "A2C", width=50.0))
    ejection, edv, esv = (found[code] for code in ("18043-0", "18026-5", "18148-7"))
    assert ejection.measurement.value == pytest.approx(75.0)
    assert edv.measurement.value == pytest.approx(125.66, abs=0.1)
    assert ejection.measurement.method is not None
    assert ejection.measurement.method.value == "125207"
    assert ejection.frames == {"1": (0, 12, 30), "2": (0, 12, 30)}
    assert (edv.frames["1"], esv.frames["1"]) == ((0, 30), (12,))
    assert (ejection.measurement.uncertainty, edv.measurement.uncertainty) == (6.8, None)
    assert (ejection.model, ejection.digest) == ("left-heart", "d")


def test_the_pair_with_the_longest_axes_is_taken_whatever_order_loops_came_in() -> None:
    loops = [
        kept("1", "A4C", length=74.0, width=60.0), kept("2", "A4C"), kept("3", "A2C"), kept("4", "A2C", length=60.0)
    ]  # fmt: skip
    for order in (loops, loops[::-1]):
        found = values_of(*order)
        assert set(found["18043-0"].frames) == {"2", "3"}
        assert "longest of 4 pairs" in found["18043-0"].measurement.notes[1]


@pytest.mark.parametrize(
    ("four", "two", "says"),
    [
        ({}, None, "no A2C loop"),
        (None, {}, "no A4C loop"),
        ({}, {"length": 70.0}, "A2C is foreshortened"),
        ({}, {"whole_beats": 0}, "less than a whole beat"),
        ({"calibrated": False}, {}, "size of their pixels"),
        ({"end_diastole": {"length_mm": 80.0, "diameters_mm": [1.0]}}, {}, "20 diameters"),
        ({"end_diastole": {}}, {}, "not readable"),
    ],
)
def test_planes_that_do_not_go_together_give_the_reason(
    four: dict[str, Any] | None, two: dict[str, Any] | None, says: str
) -> None:
    loops = [
        kept(uid, view, **given) for uid, view, given in (("1", "A4C", four), ("2", "A2C", two)) if given is not None
    ]
    reason = reason_of(*loops)
    assert says in reason
    assert "single planes stand by themselves" in reason


def test_planes_of_two_models_are_not_multiplied() -> None:
    assert all(isinstance(each, Ineligible) for each in combine([kept("1", "A4C"), kept("2", "A2C", digest="e")]))


def test_nothing_is_said_where_no_ventricle_was_measured() -> None:
    still = kept("1", "A4C")
    assert combine([]) == []
    assert combine([KeptReading(**{name: getattr(still, name) for name in still.__slots__} | {"details": {}})]) == []


def test_both_atria_make_a_volume_and_lengths_apart_are_told() -> None:
    small = {"length_mm": 50.0, "diameters_mm": [40.0] * 20, "frames": [12], "cut": True}
    found = values_of(
        kept("1", "A4C", atrium=small), kept("2", "A2C", atrium=small | {"length_mm": 60.0, "cut": False})
    )
    atrial = found["79983-3"]
    assert atrial.measurement.value == pytest.approx(75.4, abs=0.1)
    assert atrial.frames == {"1": (12,), "2": (12,)}
    assert [note for note in atrial.measurement.notes if "differ by 10 mm" in note]
    assert [note for note in atrial.measurement.notes if "edge of the sector" in note]


def test_hearts_that_beat_at_different_rates_are_told() -> None:
    found = values_of(kept("1", "A4C"), kept("2", "A2C", beat_ms=600.0))
    assert "67 and 100 a minute" in found["18043-0"].measurement.notes[-1]


def test_planes_of_one_heart_rate_go_before_longer_ones() -> None:
    """A two-chamber loop of a faster heart, a little longer, is no better partner than one of the same rate."""
    found = values_of(kept("1", "A4C"), kept("2", "A2C", length=82.0, beat_ms=500.0), kept("3", "A2C", length=79.0))
    assert set(found["18043-0"].frames) == {"1", "3"}
    assert not any("rates" in note for note in found["18043-0"].measurement.notes)


def test_the_worker_combines_without_torch() -> None:
    """A worker that loads torch takes half a gigabyte more and seconds to start."""
    code = (
        "import sys; from echonode.core.task import installed_tasks, resolve; "
        "[resolve(t.combine) for t in installed_tasks().values() if t.combine]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
