"""From pixels to beats without a network: scale, stitching, windows, borders, beats, tables."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from echonode.core.clip import Clip, Mode, Region
from echonode.core.errors import BadInput
from echonode.core.results import Ineligible
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.tasks.mmode import tables
from echonode.tasks.mmode.beats import beats_of
from echonode.tasks.mmode.calibration import Calibration, published_calibration, sound_calibration
from echonode.tasks.mmode.prepare import strip_of
from echonode.tasks.mmode.quality import published_windows, sound_windows
from echonode.tasks.mmode.species import HUMAN, MOUSE, species_of
from echonode.tasks.mmode.stitching import stitched, stitched_exactly
from echonode.tasks.mmode.trace import walls
from echonode.tasks.mmode.volumes import teichholz
from echonode.tasks.mmode.windows import blended, cut, overlapping_tiles, published_tiles

M_MODE = {
    "spatial_format": 2, "data_type": 1, "x0": 10, "y0": 20, "x1": 109, "y1": 119, "units_x": 4, "units_y": 3,
    "delta_x": 0.001, "delta_y": 0.005,
}  # fmt: skip


def _region(**other: object) -> Region:
    return Region(**{**M_MODE, **other})  # type: ignore[arg-type]


def test_scale_comes_from_the_m_mode_region_by_its_units() -> None:
    """Regions lie in any order, and the last row and column belong to them."""
    b_mode = _region(spatial_format=1, units_x=3)
    found = sound_calibration([b_mode, _region()], rows=200, columns=200)
    assert isinstance(found, Calibration)
    assert found.box == (slice(20, 120), slice(10, 110))
    assert (found.seconds, found.millimetres) == (0.001, pytest.approx(0.05))


@pytest.mark.parametrize(
    ("regions", "code"),
    [
        ([], "calibration"),
        ([_region(spatial_format=1)], "calibration"),
        ([_region(units_x=3)], "calibration"),
        ([_region(units_y=None)], "calibration"),
        ([_region(delta_y=0.0)], "calibration"),
        ([_region(delta_x=float("nan"))], "calibration"),
        ([_region(x1=400)], "calibration"),
        ([_region(data_type=2)], "colour"),
        ([_region(y1=24)], "size"),
        ([_region(delta_x=50.0)], "calibration"),
    ],
)
def test_without_a_sound_scale_nothing_is_measured(regions: list[Region], code: str) -> None:
    """A diameter in pixels that is reported in mm is worse than none."""
    found = sound_calibration(regions, rows=200, columns=200)
    assert isinstance(found, Ineligible)
    assert found.code == code


def test_published_scale_is_the_third_region_whatever_it_is() -> None:
    wrong_units = _region(units_x=3, units_y=7)
    found = published_calibration([_region(), _region(), wrong_units], rows=200, columns=200)
    assert isinstance(found, Calibration)
    assert found.box == (slice(20, 119), slice(10, 109)), "the far corner is taken as an end"
    assert isinstance(published_calibration([_region()], rows=200, columns=200), Ineligible)


def test_real_strip_is_calibrated_and_freed_of_its_overlays(shared_data: Path) -> None:
    """The ECG marks of this recording lie inside the M-mode region and are green."""
    clip = read_clip(shared_data / "ultrasound/adult_xario/I_000034.dcm", limits=LimitsSection())
    strip = strip_of(clip, preparation="clinical")
    assert not isinstance(strip, Ineligible)
    assert strip.grey.shape == (264, 641)
    assert strip.calibration.seconds == pytest.approx(1 / 240, rel=1e-6)
    box = clip.frames[0][strip.calibration.box].astype(int)
    green = box[..., 1] - box[..., 0] > 60
    assert green.any()
    assert np.median(strip.grey[green]) < 60, "bright green marks are filled from the dark around them"
    refused = strip_of(clip, preparation="published")
    assert isinstance(refused, Ineligible), "it has two regions, the published code reads the third"


def test_other_modes_are_refused(shared_data: Path) -> None:
    clip = read_clip(shared_data / "ultrasound/adult_xario/I_000031.dcm", limits=LimitsSection())
    refused = strip_of(clip, preparation="clinical")
    assert isinstance(refused, Ineligible)
    assert refused.code == "mode"


def test_colour_m_mode_is_refused_by_its_pixels() -> None:
    """A header may call it tissue."""
    random = np.random.default_rng(0)
    frame = np.repeat(random.integers(0, 200, (120, 120, 1), dtype=np.uint8), 3, axis=2)
    frame[30:60, 20:100] = (220, 30, 10)
    clip = Clip(frames=frame[None], times_ms=np.zeros(1), regions=(_region(),), mode=Mode.M_MODE)
    refused = strip_of(clip, preparation="clinical")
    assert isinstance(refused, Ineligible)
    assert refused.code == "colour"


def _scrolled(offsets: list[int], *, noise: int) -> tuple[np.ndarray, list[np.ndarray]]:
    random = np.random.default_rng(3)
    whole = cv2.GaussianBlur(random.integers(0, 256, (64, 900)).astype(np.float64), (0, 0), 1.5) * 2
    return whole, [whole[:, o : o + 200] + random.integers(-noise, noise + 1, (64, 200)) for o in offsets]


def test_frames_with_compression_noise_become_one_strip() -> None:
    """Exact comparison finds nothing in common after a lossy compression and appends whole frames: false time."""
    offsets = [0, 40, 90, 90, 200]
    whole, frames = _scrolled(offsets, noise=6)
    found = stitched(frames, expected_shifts=None)
    assert [place for _, place in found.places] == offsets
    assert np.abs(found.strip - whole[:, :400]).max() < 6.01
    assert stitched_exactly(frames).strip.shape[1] == 5 * 200


def test_a_jump_of_the_time_line_is_not_bridged() -> None:
    _, frames = _scrolled([0, 50, 100, 600, 640], noise=0)
    found = stitched(frames, expected_shifts=None)
    assert [frame for frame, _ in found.places] == [0, 1, 2]
    assert "frames 1 to 3" in found.notes[0]


def test_regular_rhythm_is_laid_out_by_the_times_of_the_frames() -> None:
    """A pattern that repeats itself fits at several shifts; the frame times say which is true."""
    columns = np.arange(1200)
    whole = 100 + 80 * np.sin(2 * np.pi * columns / 40)[None, :] * np.linspace(0.2, 1, 64)[:, None]
    frames = [whole[:, o : o + 200] for o in (0, 80, 160)]
    found = stitched(frames, expected_shifts=[80.0, 80.0])
    assert [place for _, place in found.places] == [0, 80, 160]


def test_marks_that_stand_still_are_no_tissue() -> None:
    """A depth scale or a caliper lies over every frame at the same place while the time line moves under it."""
    whole, _ = _scrolled([0], noise=0)
    tissue = (180 * (whole - whole.min()) / np.ptp(whole)).astype(np.uint8)
    frames = np.stack([tissue[:, o : o + 200] for o in range(0, 200, 40)])
    marked = frames.copy()
    marked[:, 10:12, 50:90] = 255
    regions = (_region(x0=0, y0=0, x1=199, y1=63),)

    def strip(pixels: np.ndarray) -> np.ndarray:
        clip = Clip(frames=pixels[..., None], times_ms=np.arange(5) * 40.0, regions=regions, mode=Mode.M_MODE)
        found = strip_of(clip, preparation="clinical")
        assert not isinstance(found, Ineligible), found
        return found.grey

    assert strip(marked).shape == (64, 360)
    assert strip(marked)[10:12].max() < 200
    frozen = np.repeat(marked[:1], 5, axis=0)
    assert strip(frozen).shape == (64, 200)
    assert strip(frozen)[10:12, 50:90].min() > 250, "of a frozen picture nobody can tell"


def test_short_strip_gets_one_window_and_long_ones_are_covered() -> None:
    """The published windows break when a strip is shorter than high."""
    with pytest.raises(ValueError, match="less than its height"):
        published_tiles(height=100, length=60)
    (tile,) = overlapping_tiles(height=100, length=60, overlap=0.25)
    assert cut(np.ones((100, 60)), tile).shape == (100, 100)
    tiles = overlapping_tiles(height=100, length=333, overlap=0.25)
    covered = np.zeros(333, int)
    for each in tiles:
        covered[each.start : each.stop] += 1
    assert covered.min() >= 1
    assert all(b.start - a.start <= 75 for a, b in pairwise(tiles))


def test_windows_are_blended_without_a_seam() -> None:
    tiles = overlapping_tiles(height=64, length=112, overlap=0.25)
    answers = [np.full((256, 256), value) for value in (0.2, 0.8)]
    whole = blended(answers, tiles, length=112)
    assert whole.shape == (64, 112)
    assert np.abs(np.diff(whole[0])).max() < 0.06
    assert (whole[0, 0], whole[0, -1]) == (pytest.approx(0.2), pytest.approx(0.8))


def test_border_is_read_between_rows_from_the_main_cavity() -> None:
    """Counting pixels would add the speck and lose the hole."""
    rows = np.arange(100)[:, None] + 0.5
    probability = 1 / (1 + np.exp(-np.minimum(rows - 30.3, 70.6 - rows) * 2)) * np.ones((1, 50))
    probability[48:51, 20:24] = 0.0
    probability[5:9, 10:20] = 0.9
    found = walls(probability, valid=np.arange(50) != 7)
    assert np.isnan(found.upper[7]), "nothing was recorded there"
    np.testing.assert_allclose(np.delete(found.upper, 7), 30.3, atol=0.1)
    np.testing.assert_allclose(np.delete(found.lower, 7), 70.6, atol=0.1)


def _trace(*, rate: float, seconds: float, duration: float, noise: float = 0.0) -> np.ndarray:
    time = np.arange(0, duration, seconds)
    wave = np.cos(2 * np.pi * time * rate / 60) + 0.15 * np.cos(4 * np.pi * time * rate / 60 + 1)
    return 4.0 + 0.8 * wave + noise * np.random.default_rng(1).standard_normal(len(time))


@pytest.mark.parametrize(
    ("species", "rate", "seconds"),
    [(MOUSE, 950, 0.0005), (MOUSE, 400, 0.00083), (HUMAN, 56, 0.00417), (HUMAN, 150, 0.005)],
)
def test_heart_rate_does_not_depend_on_the_size_of_a_pixel(species: object, rate: float, seconds: float) -> None:
    """Peaks at least 85 pixels apart end at 847 beats a minute in mice, and mean nothing in patients."""
    lvid = _trace(rate=rate, seconds=seconds, duration=8 * 60 / rate, noise=0.05)
    beats = beats_of(lvid, seconds=seconds, species=species)  # type: ignore[arg-type]
    assert len(beats) in (6, 7)
    rates = [beat.heart_rate for beat in beats if beat.heart_rate]
    assert np.median(rates) == pytest.approx(rate, rel=0.05)
    for beat in beats:
        assert beat.diastole < beat.systole < beat.end
        assert beat.lvid_d > beat.lvid_s > 0


def test_no_beat_reaches_over_a_gap_and_a_missed_one_gives_no_rate() -> None:
    lvid = _trace(rate=60, seconds=0.005, duration=10)
    holed = lvid.copy()
    holed[880:920] = np.nan
    beats = beats_of(holed, seconds=0.005, species=HUMAN)
    assert not [beat for beat in beats if beat.diastole < 900 < beat.end]
    flat = lvid.copy()
    flat[830:1170] = lvid[830]
    slow = [beat for beat in beats_of(flat, seconds=0.005, species=HUMAN) if beat.heart_rate is None]
    assert len(slow) == 1, "twice the usual interval is a beat that was not seen"
    assert beats_of(np.full(2000, 4.0), seconds=0.005, species=HUMAN) == [], "nothing beats"


def test_quality_windows_follow_the_body_mass_and_stay_inside() -> None:
    assert [MOUSE.share_of_height(mass) for mass in (10, 20, 30, 40, 50)] == [0.5, 0.6, 0.75, 0.9, 1.0]
    published = published_windows(height=200, length=950, share=0.75, centre=180.0)
    assert published[0].bottom > 200, "as published, not limited at the bottom"
    sound = sound_windows(height=200, length=950, share=0.75, centre=180.0)
    assert all(window.bottom <= 200 and window.bottom - window.top == 150 for window in sound)
    said = [column for window in sound for column in range(window.start, window.stop)]
    assert said == list(range(950)), "of every column exactly one answer is said"
    (short,) = sound_windows(height=200, length=120, share=1.0, centre=None)
    assert (short.stop, short.bottom - short.top) == (120, 120)


def test_species_is_stated_or_follows_from_the_mass() -> None:
    assert species_of(stated=None, body_mass=None) is None
    assert species_of(stated=None, body_mass=28.0) is MOUSE
    assert species_of(stated=None, body_mass=70_000.0) is HUMAN
    assert species_of(stated="human", body_mass=28.0) is HUMAN


def test_volumes_have_the_unit_of_their_species() -> None:
    """The same numbers are uL in mice and mL in patients, when the diameter is in mm and in cm."""
    assert float(teichholz(np.array(5.0 / MOUSE.diameter_mm))) == pytest.approx(118.24, abs=0.01)
    assert float(teichholz(np.array(50.0 / HUMAN.diameter_mm))) == pytest.approx(118.24, abs=0.01)
    assert (MOUSE.volume_unit, HUMAN.volume_unit) == ("uL", "mL")


def _details(preparation: str) -> dict[str, object]:
    def instants(*values: float) -> list[dict[str, object]]:
        return [{"value": value, "seconds": value / 10, "good": value > 0} for value in values]

    spread = {"median": 2.0, "mean": 2.5, "max": 4.0, "min": 1.0}
    beat = {
        "lvid_d_mm": 4.0,
        "seconds": 0.1,
        "lvid_s_mm": 2.5,
        "lvid_s_seconds": 0.15,
        "heart_rate_bpm": None,
        "good": True,
    }
    return {
        "preparation": preparation, "end_diastole": instants(4, -1, 5), "end_systole": instants(2, 3),
        "heart_rate": instants(600), "beats": [beat, {**beat, "good": False}],
        "statistics": dict.fromkeys(("lvid_d_mm", "lvid_s_mm", "heart_rate_bpm"), spread),
    }  # fmt: skip


def test_tables_have_the_authors_two_layouts(tmp_path: Path) -> None:
    """Their notebooks read these columns."""
    stats, everything = tmp_path / "stats.csv", tmp_path / "all.csv"
    for _ in range(2):
        tables.append(stats, _details("published"), name="a,b.dcm", layout="stats")
    tables.append(everything, _details("published"), name="a.dcm", layout="all")
    tables.append(everything, _details("clinical"), name="b.dcm", layout="all")
    lines = stats.read_text().splitlines()
    assert lines[0] == (
        "file,median_diastole,median_systole,median_heartrate,avg_diastole,avg_systole,avg_heartrate,max_diastole,"
        "max_systole,max_heartrate,min_diastole,min_systole,min_heartrate"
    )
    assert lines[1:] == ["|a,b.dcm|,2.0,2.0,2.0,2.5,2.5,2.5,4.0,4.0,4.0,1.0,1.0,1.0"] * 2
    assert everything.read_text().splitlines() == [
        "file,lvid;d,lvid;d time,lvid;s,lvid;s time,heart rate,heart rate time",
        "a.dcm,4,0.4,2,0.2,600,60.0",
        "b.dcm,4.0,0.1,2.5,0.15,,",
    ]
    with pytest.raises(BadInput, match="no table of layout all"):
        tables.append(stats, _details("published"), name="a.dcm", layout="all")
