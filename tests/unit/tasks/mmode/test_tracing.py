"""Level first, then beats from R wave to R wave: the small networks' order of work, with answers set by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, Mode, Region
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Details, Ineligible, LabelMap, Measurement, Picture, Result
from echonode.tasks.common.uncertainty import Limits
from echonode.tasks.mmode.compact import JUDGED, Judge, Tracer
from echonode.tasks.mmode.compact_networks import CompactNetworks, Trace
from echonode.tasks.mmode.grid import gridded, network_picture
from echonode.tasks.mmode.networks import Networks, Sampling
from echonode.tasks.mmode.offline import read
from echonode.tasks.mmode.runner import MModeRunner, Settings, open_networks

ROWS, COLUMNS = 280, 750
SECONDS, MILLIMETRES = 0.004, 0.5
BEAT = 0.8  # s
REGION = Region(
    spatial_format=2, data_type=1, x0=0, y0=0, x1=COLUMNS - 1, y1=ROWS - 1, units_x=4, units_y=3, delta_x=SECONDS,
    delta_y=MILLIMETRES / 10,
)  # fmt: skip


TRACER = Tracer((4, 4, 4, 4))


class Answers(CompactNetworks):
    """What perfect networks would say of a heart whose cavity beats between 50 and 34 mm at 75 a minute."""

    def __init__(self, *, level: str = "lv", bad: tuple[float, float] | None = None) -> None:
        super().__init__(tracer=TRACER, level=None, judges=[Judge((4, 4, 4, 4))], device=torch.device("cpu"))
        self._level, self._bad = level, bad

    def trace(self, grid: Any) -> Trace:
        seconds = (np.arange(grid.picture.shape[1]) + 0.5) * grid.seconds
        since = np.mod(seconds - 0.3, BEAT)
        lvid = np.interp(since, [0, 0.32, 0.55, BEAT], [50.0, 34.0, 49.0, 50.0])
        rows = np.stack(
            [np.full_like(lvid, 30.0), 40 + (50 - lvid) / 2, 90 - (50 - lvid) / 2, np.full_like(lvid, 101.0)]
        )
        likely = [
            np.exp(-0.5 * (np.minimum(np.abs(since - at), BEAT - np.abs(since - at)) / 0.03) ** 2) for at in (0.0, 0.32)
        ]
        return Trace(
            walls=rows / grid.millimetres - 0.5, spread=np.ones_like(rows), diastole=likely[0], systole=likely[1]
        )

    def level(self, grid: Any) -> dict[str, float]:
        return {name: 0.96 if name == self._level else 0.02 for name in ("lv", "mitral", "aorta")}

    def good(self, grid: Any) -> np.ndarray:
        start = np.arange(-(-grid.picture.shape[1] // JUDGED)) * JUDGED * grid.seconds
        low, high = self._bad or (0.0, 0.0)
        return np.where((start >= low) & (start < high), 0.1, 0.9)


def _runner(compact: CompactNetworks) -> MModeRunner:
    plain = Networks(segmenter=None, judges=(), device=torch.device("cpu"), sampling=Sampling())
    usual = Settings(preparation="clinical", mode="reference", species=None, body_mass=None)
    return MModeRunner(plain, usual=usual, species=["human"], compact=compact)


def _clip() -> Clip:
    frames = np.random.default_rng(0).integers(40, 200, (1, ROWS, COLUMNS, 1)).astype(np.uint8)
    return Clip(frames=frames, times_ms=np.zeros(1), regions=(REGION,), mode=Mode.M_MODE)


def _run(runner: MModeRunner, **parameters: Any) -> tuple[Result, ...]:
    (results,) = runner.run([_clip()], [{"species": "human", **parameters}], lambda done, total: None)
    return results


def test_diameters_are_read_at_the_r_wave_and_at_end_systole() -> None:
    found = {one.concept.value: one for one in _run(_runner(Answers())) if isinstance(one, Measurement)}
    assert found["29436-3"].value == pytest.approx(50, abs=0.6)
    assert found["29438-9"].value == pytest.approx(34, abs=0.8)
    assert found["8867-4"].value == pytest.approx(75, abs=0.5)
    assert found["18154-5"].value == pytest.approx(10, abs=0.4), "the septum's thickness"
    assert found["18152-9"].value == pytest.approx(11, abs=0.4), "the posterior wall's"
    assert found["18026-5"].unit.value == "mL"


def test_mass_and_relative_wall_follow_from_the_walls() -> None:
    """The cube formula in cm and g; without a wall there is neither."""
    found = {one.concept.value: one for one in _run(_runner(Answers())) if isinstance(one, Measurement)}
    expected = 0.8 * 1.04 * ((5.0 + 1.0 + 1.1) ** 3 - 5.0**3) + 0.6
    assert found["18087-7"].value == pytest.approx(expected, rel=0.05)
    assert found["18087-7"].unit.value == "g"
    assert found["RWT"].value == pytest.approx(2 * 11 / 50, abs=0.02)

    class Wide(Answers):
        """A tracer that does not see the posterior wall's outer border."""

        def trace(self, grid: Any) -> Trace:
            trace = super().trace(grid)
            trace.spread[3] = 99.0
            return trace

    found = {one.concept.value: one for one in _run(_runner(Wide())) if isinstance(one, Measurement)}
    assert "29436-3" in found
    assert not {"18152-9", "18087-7", "RWT"} & set(found)


def test_a_value_of_few_beats_says_so_and_an_irregular_rhythm_asks_for_more() -> None:
    """A strip of two seconds cannot show three beats: the value is given with its number, never silently."""
    waves = [60, 290, 420]
    clip = Clip(frames=_with_ecg(waves)[None], times_ms=np.zeros(1), regions=(REGION,), mode=Mode.M_MODE)
    found = _runner(Answers()).examine(clip, {"species": "human"}, lambda done, total: None)
    assert not isinstance(found, Ineligible)
    assert found.averaged.needed == 5
    assert found.averaged.note is not None
    assert "fewer than 5 complete beats (R-R varies by" in found.averaged.note
    regular = _runner(Answers()).examine(_clip(), {"species": "human"}, lambda done, total: None)
    assert not isinstance(regular, Ineligible)
    assert (regular.averaged.needed, regular.averaged.complete, regular.averaged.note) == (3, 3, None)


def test_limits_of_the_locked_test_stand_beside_a_value() -> None:
    plain = Networks(segmenter=None, judges=(), device=torch.device("cpu"), sampling=Sampling())
    usual = Settings(preparation="clinical", mode="reference", species=None, body_mass=None)
    limits = {"lvid_d": Limits(half_width=1.4, basis="95 % limits, 1.96 x RMSE on 100 sweeps, locked")}
    runner = MModeRunner(plain, usual=usual, species=["human"], compact=Answers(), limits=limits)
    found = {one.concept.value: one for one in _run(runner) if isinstance(one, Measurement)}
    assert found["29436-3"].uncertainty == 1.4
    assert "locked" in found["29436-3"].uncertainty_basis
    assert found["29438-9"].uncertainty is None


@pytest.mark.parametrize("sign", [(-1, 1), (1, -1), (-1, -1)])
def test_an_axis_that_runs_backwards_has_the_same_size(sign: tuple[int, int]) -> None:
    """Physical Delta may be negative; a diameter is not."""
    region = replace(REGION, delta_x=sign[0] * SECONDS, delta_y=sign[1] * MILLIMETRES / 10)
    clip = Clip(frames=_clip().frames, times_ms=np.zeros(1), regions=(region,), mode=Mode.M_MODE)
    (results,) = _runner(Answers()).run([clip], [{"species": "human"}], lambda done, total: None)
    found = {one.concept.value: one.value for one in results if isinstance(one, Measurement)}
    assert found["29436-3"] == pytest.approx(50, abs=0.6)
    assert found["8867-4"] == pytest.approx(75, abs=0.5)


def test_the_cavity_is_drawn_where_it_lies() -> None:
    (labels,) = (one for one in _run(_runner(Answers())) if isinstance(one, LabelMap))
    high = labels.labels[0].sum(axis=0) * MILLIMETRES
    assert high.max() == pytest.approx(50, abs=1.2)
    assert high.min() == pytest.approx(34, abs=1.2)


@pytest.mark.parametrize(("level", "words"), [("mitral", "mitral level"), ("aorta", "aortic level")])
def test_off_the_lv_level_there_is_a_reason_and_no_diameter(level: str, words: str) -> None:
    """A diameter at the mitral level looks like one of the ventricle and is none."""
    runner = _runner(Answers(level=level))
    rate, refusal, *beside = _run(runner)
    assert isinstance(rate, Measurement)
    assert rate.value == pytest.approx(75, abs=0.5)
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "level"
    assert [type(one) for one in beside] == [Picture, Details]
    assert words in refusal.reason
    _, details = read(runner, _clip(), {"species": "human"}, lambda done, total: None)
    assert details["level"] == level
    assert details["heart_rate_bpm"] == pytest.approx(75, abs=0.5), "the heart beats at every level"
    assert details["beats"] == []


def test_beats_in_bad_stretches_do_not_count() -> None:
    bad = _runner(Answers(bad=(1.0, 1.6)))
    examination = bad.examine(_clip(), {"species": "human"}, lambda done, total: None)
    assert not isinstance(examination, Ineligible)
    assert [beat.good for beat in examination.beats] == [True, False, True], (
        "of the fourth the strip ends before end-systole"
    )
    refusal, *_ = _run(_runner(Answers(bad=(0.0, 3.0))))
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "quality"


@pytest.mark.parametrize("asked", [{"preparation": "published"}, {"mode": "mc"}])
def test_the_authors_ways_are_not_pretended(asked: dict[str, str]) -> None:
    (refusal,) = _run(_runner(Answers()), **asked)
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "parameters"


def test_a_scale_that_no_heart_has_is_refused() -> None:
    deep = Region(
        spatial_format=2, data_type=1, x0=0, y0=0, x1=COLUMNS - 1, y1=ROWS - 1, units_x=4, units_y=3, delta_x=SECONDS,
        delta_y=0.5,
    )  # fmt: skip
    clip = Clip(frames=_clip().frames, times_ms=np.zeros(1), regions=(deep,), mode=Mode.M_MODE)
    (results,) = _runner(Answers()).run([clip], [{"species": "human"}], lambda done, total: None)
    assert isinstance(results[0], Ineligible)
    assert "deep" in results[0].reason


def test_a_package_of_two_tracers_is_not_sound() -> None:
    """Two outlines of one strip would leave it open which one is measured."""
    net = TRACER
    package = Package(
        name="two", version="1", task="mmode", title="two", folder=Path(), digest="",
        architecture={"a": "mmode-tracer", "b": "mmode-tracer"}, config={"widths": {"mmode-tracer": [4, 4, 4, 4]}},
    )  # fmt: skip
    with pytest.raises(PackageInvalid, match="second network of boundaries"):
        open_networks(package, {"a": net.state_dict(), "b": net.state_dict()}, device="cpu", threads=1)


def test_the_grid_keeps_places() -> None:
    """A column of the grid goes back to where it came from, and the gain of a scanner does not matter."""
    grey = np.zeros((280, 750))
    grey[:, 375:] = 100
    grid = gridded(grey, millimetres=0.5, seconds=0.004)
    assert grid.picture.shape == (140, 300)
    edge = int(np.argmax(grid.picture[0] > 50))
    assert grid.column_of(edge - 0.5) == pytest.approx(374.5, abs=1)
    assert network_picture(grid.picture).shape == (160, 320)
    np.testing.assert_allclose(network_picture(grid.picture), network_picture(grid.picture * 2), atol=0.02)


def _with_ecg(waves: list[int], *, colour: tuple[int, int, int] = (0, 230, 60)) -> np.ndarray:
    """A picture whose ECG runs across the foot of the strip, with T waves after its R waves."""
    frame = np.repeat(_clip().frames[0], 3, axis=2)
    time = np.arange(COLUMNS) * SECONDS
    height = sum(
        (40 * np.exp(-0.5 * ((time - wave * SECONDS) / 0.012) ** 2) + 12 * np.exp(-0.5 * ((time - wave * SECONDS - 0.3) / 0.05) ** 2)
         for wave in waves), start=np.zeros(COLUMNS),
    )  # fmt: skip
    for column, row in enumerate(np.rint(ROWS - 6 - height).astype(int)):
        frame[max(0, row - 2) : row + 3, column] = colour
    return frame


def test_r_waves_are_read_from_a_coloured_ecg() -> None:
    """The ECG is what times a sweep; the heart rate of a poor strip is still right when its ECG can be seen."""
    waves = [90, 300, 520]
    clip = Clip(frames=_with_ecg(waves)[None], times_ms=np.zeros(1), regions=(REGION,), mode=Mode.M_MODE)
    runner = _runner(Answers())
    found = runner.examine(clip, {"species": "human"}, lambda done, total: None)
    assert not isinstance(found, Ineligible)
    assert found.heart_rate == pytest.approx(60 / (215 * SECONDS), abs=0.5)
    assert [beat.wave for beat in found.beats] == pytest.approx([90, 300, 520], abs=2)
    for beat, wave in zip(found.beats, waves, strict=True):
        assert 2 <= wave - beat.diastole.column <= 12, "end-diastole is where QRS begins, before the R wave"
    motion = runner.examine(clip, {"species": "human", "ecg": False}, lambda done, total: None)
    assert not isinstance(motion, Ineligible)
    assert motion.heart_rate == pytest.approx(75, abs=0.5)
    assert any("no coloured ECG" in note for note in motion.notes)


def test_a_white_trace_is_not_taken_for_an_ecg() -> None:
    frame = _with_ecg([90, 300, 520], colour=(255, 255, 255))
    clip = Clip(frames=frame[None], times_ms=np.zeros(1), regions=(REGION,), mode=Mode.M_MODE)
    found = _runner(Answers()).examine(clip, {"species": "human"}, lambda done, total: None)
    assert not isinstance(found, Ineligible)
    assert found.heart_rate == pytest.approx(75, abs=0.5)
