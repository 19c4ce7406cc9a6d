"""The annotated sweep and the plots: they are looked at, so they must come for every strip, and show what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from echonode.core.clip import Clip, Mode, Region
from echonode.core.errors import BadInput
from echonode.core.results import Picture
from echonode.tasks.mmode import tables
from echonode.tasks.mmode.beats import beats_of
from echonode.tasks.mmode.calibration import Calibration
from echonode.tasks.mmode.clinical import measured_beat
from echonode.tasks.mmode.examination import Examination, Instant
from echonode.tasks.mmode.figures import draw
from echonode.tasks.mmode.outcome import results_of
from echonode.tasks.mmode.picture import CAVITY, DIASTOLE, picture_of
from echonode.tasks.mmode.prepare import Strip
from echonode.tasks.mmode.quality import Window
from echonode.tasks.mmode.species import HUMAN

HIGH, MILLIMETRES, SECONDS = 200, 0.6, 0.005


def _examined(
    *, columns: int, places: tuple[tuple[int, int], ...] = ((0, 0),), width: int | None = None
) -> Examination:
    """A heart of 60 a minute between 50 and 34 mm, outlined in a strip of that many columns."""
    width = width or columns
    time = np.arange(columns) * SECONDS
    lvid = 42 + 8 * np.cos(2 * np.pi * (time - 0.2))
    borders = np.stack((100 - lvid / 2 / MILLIMETRES, 100 + lvid / 2 / MILLIMETRES))
    box = Calibration(
        top=10, bottom=10 + HIGH, left=5, right=5 + width, seconds=SECONDS, millimetres=MILLIMETRES, basis="a test"
    )
    grey = np.full((HIGH, columns), 90.0)
    good = np.ones(columns, np.bool_)
    beats = [
        measured_beat(beat, good, seconds=SECONDS, species=HUMAN)
        for beat in beats_of(lvid, seconds=SECONDS, species=HUMAN)
    ]
    window = Window(top=0, bottom=HIGH, left=0, right=columns, start=0, stop=columns)
    return Examination(
        preparation="clinical", mode="reference", species=HUMAN, body_mass=None,
        strip=Strip(grey=grey, valid=good, calibration=box, places=places), mask=np.ones((HIGH, columns), np.bool_),
        lvid=lvid, windows=(window,), probabilities=(0.9,), diastoles=tuple(beat.diastole for beat in beats),
        systoles=tuple(beat.systole for beat in beats), rates=tuple(beat.rate for beat in beats if beat.rate),
        beats=tuple(beats), borders=borders, timing="a test",
    )  # fmt: skip


def _clip(*, columns: int, frames: int = 1, channels: int = 3) -> Clip:
    pixels = np.full((frames, HIGH + 40, columns + 10, channels), 90, np.uint8)
    region = Region(spatial_format=2, data_type=1, x0=5, y0=10, x1=4 + columns, y1=9 + HIGH)
    return Clip(frames=pixels, times_ms=np.arange(frames) * 50.0, regions=(region,), mode=Mode.M_MODE)


def _near(picture: Picture, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.pixels.astype(int) - colour).max(axis=2) < 40).sum())


def _drawn(examination: Examination, clip: Clip) -> Picture:
    count, rows, columns = clip.frames.shape[:3]
    return picture_of(clip, examination, results_of(examination, frames=count, rows=rows, columns=columns))


@pytest.mark.parametrize("channels", [1, 3])
def test_borders_and_diameters_are_in_the_picture(channels: int) -> None:
    examination = _examined(columns=600)
    picture = _drawn(examination, _clip(columns=600, channels=channels))
    assert picture.pixels.dtype == np.uint8
    assert _near(picture, CAVITY) > 600, "both borders of the cavity"
    assert _near(picture, DIASTOLE) > 100, "a caliper at each end-diastole"
    bare = _drawn(replace(examination, beats=(), borders=None), _clip(columns=600, channels=channels))
    assert _near(bare, CAVITY) == 0


def test_a_long_strip_is_shown_in_part_and_a_tiny_one_whole() -> None:
    """A recording of a minute is thousands of columns; viewers and reports take a picture."""
    long = _drawn(_examined(columns=6000, places=((0, 0), (1, 5400)), width=600), _clip(columns=600, frames=2))
    assert long.pixels.shape[1] <= 1024
    tiny = _drawn(_examined(columns=40), _clip(columns=40))
    assert tiny.pixels.shape[1] >= 400, "wide enough for its words"


@pytest.mark.slow
def test_every_published_plot_is_drawn(tmp_path: Path) -> None:
    examination = _examined(columns=700)
    found = draw(tmp_path / "figures", examination, [_drawn(examination, _clip(columns=700))])
    names = {path.name for path in found}
    assert names == {
        "annotated.png", "output_diastole.png", "output_systole.png", "output_img.png", "output_img_mask.png",
        "output_heartrate.png",
    }  # fmt: skip
    assert all(path.stat().st_size > 2000 for path in found)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        draw(tmp_path / "file", examination, [])


def test_a_tidy_table_pairs_by_time_what_was_published_by_place(tmp_path: Path) -> None:
    """The authors pair the first end-diastole with the first end-systole, also where that one lies before it."""

    def instant(column: int, value: float) -> Instant:
        return Instant(column=column, seconds=column * SECONDS, value=value, good=True, volume=value)

    examination = replace(
        _examined(columns=700), preparation="published", beats=(),
        diastoles=(instant(40, 50.0), instant(240, 49.0), instant(440, 51.0)),
        systoles=(instant(10, 30.0), instant(140, 34.0), instant(340, 35.0)), rates=(instant(40, 60.0), instant(240, 61.0)),
    )  # fmt: skip
    path = tmp_path / "tidy.csv"
    tables.append(path, examination.as_dict(), name="a,b.dcm", layout="tidy")
    heading, *lines = path.read_text().splitlines()
    assert heading.startswith("file,preparation,species,level,timing,beat,time_s")
    assert [line.split('"')[1] for line in lines] == ["a,b.dcm"] * 2
    cells = [dict(zip(heading.split(",")[1:], line.split('"')[2].split(",")[1:], strict=True)) for line in lines]
    assert [(cell["lvid_d_mm"], cell["lvid_s_mm"], cell["heart_rate_bpm"]) for cell in cells] == [
        ("50.0", "34.0", "60.0"),
        ("49.0", "35.0", "61.0"),
    ]
