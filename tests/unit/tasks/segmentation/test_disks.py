"""The method of disks and the beats: a wrong volume or a wrong end-systole would be a wrong ejection fraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from echonode.tasks.common.uncertainty import Limits
from echonode.tasks.segmentation.beats import beats_of, roughness, smoothed
from echonode.tasks.segmentation.disks import DISKS, Disks, disks_of, largest_part, lengths_agree, mean_disks, volume_ml
from echonode.tasks.segmentation.ventricle import Ventricle, biplane, ejection_fraction, ventricle_of


def half_ellipse(
    *, length_mm: float, width_mm: float, pixel: tuple[float, float], degrees: float = 0.0, size: int = 300
) -> Any:
    """An upright half ellipsoid with its open base down, in a wall of 8 mm, over a round atrium."""
    y, x = np.mgrid[0:size, 0:size].astype(float)
    y, x = (y - size / 2) * pixel[0], (x - size / 2) * pixel[1]
    turn = np.deg2rad(degrees)
    x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    base = length_mm / 2
    up = base - y
    inside = (up > 0) & ((up / length_mm) ** 2 + (x / (width_mm / 2)) ** 2 < 1)
    wall = (up > 0) & ((up / (length_mm + 8)) ** 2 + (x / (width_mm / 2 + 8)) ** 2 < 1) & ~inside
    atrium = (up <= 0) & ((up + 15) ** 2 + x**2 < 15**2)
    labels = np.zeros((size, size), np.uint8)
    labels[atrium], labels[wall], labels[inside] = 3, 2, 1
    return labels


@pytest.mark.parametrize("degrees", [0.0, 20.0, -35.0])
@pytest.mark.parametrize("pixel", [(0.5, 0.5), (0.4, 0.6)])
def test_a_half_ellipsoid_has_its_volume_however_it_lies(degrees: float, pixel: tuple[float, float]) -> None:
    found = disks_of(half_ellipse(length_mm=80, width_mm=46, pixel=pixel, degrees=degrees), pixel)
    assert found is not None
    assert found.length_mm == pytest.approx(80, rel=0.03)
    assert found.volume_ml == pytest.approx(2 / 3 * np.pi * 80 * 23**2 / 1000, rel=0.04)
    assert found.diameters_mm[0] > found.diameters_mm[-1], "from the base to the apex"


def test_two_planes_multiply_their_diameters_and_take_the_longer_axis() -> None:
    first = Disks(length_mm=80, diameters_mm=np.full(DISKS, 40.0))
    second = Disks(length_mm=76, diameters_mm=np.full(DISKS, 50.0))
    assert volume_ml(first, second) == pytest.approx(np.pi / 4 * 40 * 50 * 80 / 1000)
    assert volume_ml(first) == pytest.approx(np.pi / 4 * 40 * 40 * 80 / 1000)
    assert lengths_agree(first, second)
    assert not lengths_agree(first, Disks(length_mm=71, diameters_mm=np.full(DISKS, 50.0)))
    assert mean_disks([first, second]).length_mm == 78
    with pytest.raises(ValueError, match="one plane or two"):
        volume_ml(first, first, first)


def test_without_a_cavity_there_are_no_disks() -> None:
    assert disks_of(np.zeros((64, 64), np.uint8), (1.0, 1.0)) is None
    speck = np.zeros((64, 64), np.uint8)
    speck[3:6, 3:6] = 1
    assert disks_of(speck, (1.0, 1.0)) is None


def test_a_speck_elsewhere_changes_nothing() -> None:
    labels = half_ellipse(length_mm=80, width_mm=46, pixel=(0.5, 0.5))
    clean = disks_of(labels, (0.5, 0.5))
    labels[2:8, 2:8] = 1
    labels[150, 150] = 0
    spotted = disks_of(labels, (0.5, 0.5))
    assert clean is not None
    assert spotted is not None
    assert spotted.volume_ml == pytest.approx(clean.volume_ml, rel=1e-9)
    assert not largest_part(np.zeros((4, 4), np.bool_)).any()


def beat(times_ms: Any, *, every_ms: float, shift_ms: float) -> Any:
    return 30 + 12 * np.cos(2 * np.pi * (times_ms - shift_ms) / every_ms)


@pytest.mark.parametrize("heart_rate", [75.0, None])
def test_each_beat_has_its_end_diastole_and_end_systole(heart_rate: float | None) -> None:
    times: Any = np.arange(70) * 33.0
    noise = np.random.default_rng(3).normal(0, 0.4, len(times))
    found = beats_of(beat(times, every_ms=800, shift_ms=150) + noise, times, heart_rate=heart_rate)
    assert found is not None
    assert found.beat_ms == pytest.approx(800, abs=40)
    assert [times[place] for place in found.end_diastole] == pytest.approx([150, 950, 1750], abs=67)
    assert [times[place] for place in found.end_systole] == pytest.approx([550, 1350, 2150], abs=67)


def test_a_loop_that_begins_in_systole_does_not_take_its_first_frame_for_end_diastole() -> None:
    times: Any = np.arange(40) * 33.0
    found = beats_of(beat(times, every_ms=1000, shift_ms=-250), times, heart_rate=60.0)
    assert found is not None
    assert [times[place] for place in found.end_diastole] == pytest.approx([750], abs=34)


@pytest.mark.parametrize(("frames", "swing"), [(4, 1.0), (8, 1.0), (60, 0.01)])
def test_no_beat_is_made_up(frames: int, swing: float) -> None:
    times = np.arange(frames) * 33.0
    curve: Any = 30 + swing * (beat(times, every_ms=1000, shift_ms=0) - 30)
    assert beats_of(curve, times, heart_rate=60.0) is None


def test_smoothing_keeps_a_steady_curve_and_roughness_counts_jumps() -> None:
    times: Any = np.arange(30) * 30.0
    level: Any = np.full(30, 7.0)
    assert smoothed(level, times, 25.0) == pytest.approx(np.full(30, 7.0))
    assert roughness(level, times) == pytest.approx(0)
    assert roughness(level + 0.7 * (-1.0) ** np.arange(30), times) > 0.05


def beating(pixel: float = 0.5, frames: int = 40) -> tuple[Any, Any]:
    times = np.arange(frames) * 30.0
    widths = 40 + 8 * np.cos(2 * np.pi * times / 900)
    return np.stack([half_ellipse(length_mm=80, width_mm=w, pixel=(pixel, pixel), size=256) for w in widths]), times


def test_a_beating_ventricle_has_its_ejection_fraction() -> None:
    labels, times = beating()
    found = ventricle_of(
        labels, frames=range(40), times_ms=times, spacing_mm=(0.5, 0.5), calibrated=True, heart_rate=None
    )
    assert isinstance(found, Ventricle)
    assert found.ef_percent == pytest.approx(100 * (1 - 32**2 / 48**2), abs=2.5)
    ef, edv, esv, _ = found.measurements("A4C")
    assert (ef.concept.value, ef.unit.value) == ("18043-0", "%")
    assert ef.method is not None
    assert ef.method.value == "125208", "one plane: the view is told by its source"
    assert (ef.count, ef.repeatability) == (1, None), "a single beat has no spread"
    assert ef.uncertainty is None
    assert (edv.count, esv.count) == (len(found.ed_frames), len(found.es_frames))
    limited, *_ = found.measurements("A4C", {"A4C EF": Limits(half_width=8.4, basis="a test")})
    assert (limited.uncertainty, limited.uncertainty_basis) == (8.4, "a test")
    assert edv.value == pytest.approx(2 / 3 * np.pi * 80 * 24**2 / 1000, rel=0.05)
    assert esv.value < edv.value
    details = found.details("A4C")
    both = biplane({"ventricle": details}, {"ventricle": details})
    assert both["ef_percent"] == pytest.approx(found.ef_percent, abs=0.1)
    assert both["lengths_agree"]
    assert both["la_ml"] == pytest.approx(details["atrium"]["volume_ml"], rel=1e-3)
    with pytest.raises(ValueError, match="whole beat"):
        biplane({"ventricle": details}, {"ventricle": None})


def test_the_atrium_has_its_volume_at_the_end_of_systole() -> None:
    labels, times = beating(frames=60)
    labels[labels == 3] = 0
    y, x = np.mgrid[0:256, 0:256]
    lowest = int(np.argwhere(labels[0] == 1)[:, 0].max())
    for index, moment in enumerate(times):
        radius = 36 - 8 * np.cos(2 * np.pi * moment / 900)  # largest when the ventricle is smallest
        labels[index][(np.hypot(x - 128, y - lowest) < radius) & (y > lowest) & (labels[index] == 0)] = 3
    found = ventricle_of(
        labels, frames=range(60), times_ms=times, spacing_mm=(0.5, 0.5), calibrated=True, heart_rate=None,
        sector=np.ones((256, 256), np.bool_),
    )  # fmt: skip
    assert isinstance(found, Ventricle)
    *_, atrial = found.measurements("A2C")
    assert atrial.concept.value == "79985-8"
    assert atrial.value == pytest.approx(2 / 3 * np.pi * 22**3 / 1000, rel=0.12)
    assert all(abs(frame - end) <= 2 for frame, end in zip(atrial.frames, found.es_frames, strict=True))
    assert len(found.measurements(None)) == 3, "an atrial volume has no code where the plane is not told"
    sector = np.ones((256, 256), np.bool_)
    sector[lowest + 30 :] = False
    labels[:, ~sector] = 0
    cut = ventricle_of(
        labels, frames=range(60), times_ms=times, spacing_mm=(0.5, 0.5), calibrated=True, heart_rate=None, sector=sector
    )
    assert isinstance(cut, Ventricle)
    assert any("edge of the sector" in note for note in cut.measurements("A4C")[-1].notes)


def test_planes_of_which_one_is_foreshortened_are_not_multiplied() -> None:
    labels, times = beating()
    found = ventricle_of(
        labels, frames=range(40), times_ms=times, spacing_mm=(0.5, 0.5), calibrated=True, heart_rate=None
    )
    assert isinstance(found, Ventricle)
    whole = found.details("A4C")
    short = whole | {"end_diastole": whole["end_diastole"] | {"length_mm": 60.0}}
    with pytest.raises(ValueError, match="A2C is foreshortened"):
        biplane({"ventricle": whole}, {"ventricle": short})
    with pytest.raises(ValueError, match="less than a whole beat"):
        biplane({"ventricle": whole}, {"ventricle": whole | {"whole_beats": 0}})


def test_without_calibration_there_is_a_fraction_and_no_volume() -> None:
    labels, times = beating()
    found = ventricle_of(
        labels, frames=range(40), times_ms=times, spacing_mm=(1.0, 1.0), calibrated=False, heart_rate=None
    )
    assert isinstance(found, Ventricle)
    assert [each.unit.value for each in found.measurements(None)] == ["%"]
    assert found.details(None)["edv_ml"] is None


def test_frames_without_a_cavity_are_bridged_but_not_too_many() -> None:
    labels, times = beating()
    labels[5] = 0
    arguments: dict[str, Any] = {
        "frames": range(40), "times_ms": times, "spacing_mm": (0.5, 0.5), "calibrated": True, "heart_rate": None,
    }  # fmt: skip
    found = ventricle_of(labels, **arguments)
    assert isinstance(found, Ventricle)
    assert np.isnan(found.volumes_ml[5])
    labels[::2] = 0
    assert isinstance(ventricle_of(labels, **arguments), str)
    assert ejection_fraction(100, 40) == 60
