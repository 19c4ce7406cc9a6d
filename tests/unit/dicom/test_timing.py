"""Time is what a slow-motion loop is made of: a wrong interval here is a wrong heart there."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from echonode.dicom.timing import frame_times_ms

POINTS_AT_VECTOR, POINTS_AT_TIME = 0x00181065, 0x00181063


def header(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def vector(*intervals: float, first: float = 0.0) -> Dataset:
    return header(
        NumberOfFrames=len(intervals) + 1,
        FrameTimeVector=[first, *intervals],
        FrameIncrementPointer=POINTS_AT_VECTOR,
    )


def test_alternating_20_and_40_ms_become_their_mean_and_not_their_median() -> None:
    times = frame_times_ms(vector(40, 20, 20, 40, 20, 20, 40, 20, 20))
    assert times.uniform
    assert times.interval_ms == pytest.approx(240 / 9)
    assert times.times_ms[-1] == pytest.approx(240)
    assert times.longest_gap_ms == pytest.approx(240 / 9)


def test_the_first_element_of_the_vector_is_no_interval() -> None:
    times = frame_times_ms(vector(40, 40, 40, first=9999))
    assert times.times_ms.tolist() == [0, 40, 80, 120]


def test_a_dropped_frame_stays_a_gap() -> None:
    times = frame_times_ms(vector(40, 40, 80, 40, 40))
    assert times.longest_gap_ms == pytest.approx(80)
    assert times.interval_ms == pytest.approx(40)
    assert not times.uniform
    assert times.times_ms.tolist() == [0, 40, 80, 160, 200, 240]


def test_jitter_beside_a_gap_is_taken_out_and_the_gap_kept() -> None:
    times = frame_times_ms(vector(20, 40, 20, 40, 400, 20, 40, 20, 40))
    assert np.diff(times.times_ms).tolist() == pytest.approx([30, 30, 30, 30, 400, 30, 30, 30, 30])


def test_a_fast_loop_has_a_fine_tick() -> None:
    times = frame_times_ms(vector(5, 5, 15, 5, 5))
    assert times.longest_gap_ms == pytest.approx(15)


def test_a_drift_of_more_than_a_tick_keeps_the_written_times() -> None:
    intervals = [20.0] * 12 + [40.0] * 12
    times = frame_times_ms(vector(*intervals))
    assert np.diff(times.times_ms).tolist() == pytest.approx(intervals)


@pytest.mark.parametrize("intervals", [(0, 40, 40), (-20, 40, 40), (1, 1, 1), (900, 900, 900)])
def test_an_impossible_vector_falls_back_on_the_rate(intervals: tuple[float, ...]) -> None:
    dataset = vector(*intervals)
    dataset.CineRate = "25"
    times = frame_times_ms(dataset)
    assert (times.interval_ms, times.basis, times.timed) == (40.0, "CineRate", True)


def test_a_vector_of_the_wrong_length_is_not_used() -> None:
    dataset = vector(40, 40, 40)
    dataset.NumberOfFrames = 10
    times = frame_times_ms(dataset)
    assert not times.timed
    assert len(times.times_ms) == 10


@pytest.mark.parametrize(
    ("values", "interval", "basis"),
    [
        ({"FrameTime": "33.333", "CineRate": "60"}, 33.333, "FrameTime"),
        ({"FrameTime": "0", "CineRate": "50"}, 20.0, "CineRate"),
        ({"FrameTime": "1", "RecommendedDisplayFrameRate": "25"}, 40.0, "RecommendedDisplayFrameRate"),
        ({"FrameTime": "5000", "ActualFrameDuration": "33"}, 33.0, "ActualFrameDuration"),
    ],
)
def test_the_first_plausible_attribute_is_taken(values: dict[str, str], interval: float, basis: str) -> None:
    times = frame_times_ms(header(NumberOfFrames=4, FrameIncrementPointer=POINTS_AT_TIME, **values))
    assert (times.interval_ms, times.basis) == (pytest.approx(interval), basis)


def test_without_any_time_the_guess_says_so() -> None:
    times = frame_times_ms(header(NumberOfFrames=3))
    assert not times.timed
    assert "no frame time" in times.basis


def test_the_pointer_decides_between_vector_and_frame_time() -> None:
    dataset = vector(40, 40, 40)
    dataset.FrameTime = "33.333"
    assert frame_times_ms(dataset).basis == "FrameTimeVector"
    dataset.FrameIncrementPointer = POINTS_AT_TIME
    assert frame_times_ms(dataset).basis == "FrameTime"


def test_r_waves_are_read_however_they_are_written() -> None:
    """Beats are cut by them: a vector that pydicom has not converted yet counts as well."""
    import io

    from pydicom import dcmread
    from pydicom.dataset import Dataset

    from echonode.dicom.timing import r_wave_times_ms

    dataset = Dataset()
    assert r_wave_times_ms(dataset) == ()
    dataset.RWaveTimeVector = [700.5, 20.0, 20.0]
    assert r_wave_times_ms(dataset) == (20.0, 700.5)
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    assert r_wave_times_ms(dcmread(buffer, force=True)) == (20.0, 700.5)
    single = Dataset()
    single.RWaveTimeVector = 12.0
    assert r_wave_times_ms(single) == (12.0,)
    broken = Dataset()
    broken.RWaveTimeVector = [float("nan"), 3.0]
    assert r_wave_times_ms(broken) == ()
