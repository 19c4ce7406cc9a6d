"""Results on their way through the disk come back as they were."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from echonode.core.codes import Code
from echonode.core.errors import RunFailed
from echonode.core.results import Embedding, Finding, Ineligible, LabelMap, Loop, Measurement, Picture, Result
from echonode.execution.spool import PAGE, read_results, write_results

PERCENT = Code("%", "UCUM", "percent")
RESULTS: list[Result] = [
    Measurement(concept=Code("18043-0", "LN", "LVEF"), value=61.5, unit=PERCENT, frames=(3, 9), uncertainty=4.0),
    Finding(concept=Code("111031", "DCM", "Image View"), value=Code("399139001", "SCT", "PLAX"), confidence=0.93),
    Loop(
        frames=np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5, 1),
        positions=np.array([0.0, 0.5, 1.0]),
        times_ms=np.array([0.0, 10.0, 20.0]),
        acquired=np.array([True, False, True]),
        repeated=np.zeros(3, dtype=bool),
        sector=np.eye(4, 5, dtype=bool),
        factor=2,
        notes=("a note",),
    ),
    LabelMap(labels=np.ones((1, 2, 2), dtype=np.uint8), frames=(4,), segments={1: Code("1", "99X", "left ventricle")}),
    Picture(pixels=np.zeros((2, 2, 3), dtype=np.uint8), title="plot"),
    Embedding(vector=np.ones(8, dtype=np.float32), space="view"),
    Ineligible(reason="too short", code="frames"),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_result_comes_back_as_it_was(tmp_path: Path, result: Result) -> None:
    """What is stored in the study must be what the model gave."""
    write_results(tmp_path, [result])
    (back,) = read_results(tmp_path)
    assert type(back) is type(result)
    for field in fields(result):
        ours, theirs = getattr(result, field.name), getattr(back, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
        else:
            assert ours == theirs


def test_frames_are_mapped_and_not_read(tmp_path: Path) -> None:
    """A long loop would otherwise be in memory twice, in the worker of all places."""
    write_results(tmp_path, [RESULTS[2]])
    (loop,) = read_results(tmp_path)
    assert isinstance(loop, Loop)
    assert isinstance(loop.frames, np.memmap)


def test_frames_that_the_runner_wrote_into_the_folder_are_not_written_twice(tmp_path: Path) -> None:
    """A loop of four gigabytes would otherwise need eight, and the time to copy them."""
    loop = RESULTS[2]
    assert isinstance(loop, Loop)
    frames = np.lib.format.open_memmap(tmp_path / "own.npy", mode="w+", dtype=np.uint8, shape=loop.frames.shape)
    frames[...] = loop.frames
    write_results(tmp_path, [replace(loop, frames=frames)])
    (back,) = read_results(tmp_path)
    assert isinstance(back, Loop)
    assert np.array_equal(back.frames, loop.frames)
    assert not (tmp_path / "00-frames.npy").exists()


def test_a_view_of_a_mapped_array_is_written_whole(tmp_path: Path) -> None:
    """A runner that keeps part of what it wrote must not get all of it back."""
    loop = RESULTS[2]
    assert isinstance(loop, Loop)
    longer = np.lib.format.open_memmap(tmp_path / "own.npy", mode="w+", dtype=np.uint8, shape=(6, 4, 5, 1))
    write_results(tmp_path, [replace(loop, frames=longer[:3])])
    (back,) = read_results(tmp_path)
    assert isinstance(back, Loop)
    assert len(back.frames) == 3


@pytest.mark.parametrize("page", [None, "", "{", '[{"kind": "secret"}]', '[{"kind": "loop", "values": {}}]'])
def test_a_torn_folder_is_a_failed_run(tmp_path: Path, page: str | None) -> None:
    """A runner that was killed while it wrote must not give half a result."""
    if page is not None:
        (tmp_path / PAGE).write_text(page)
    with pytest.raises(RunFailed, match="cannot be read"):
        read_results(tmp_path)


def test_no_file_outside_the_folder_is_read(tmp_path: Path) -> None:
    """A hostile model must not make the worker map other files."""
    np.save(tmp_path / "outside.npy", np.zeros(3))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / PAGE).write_text(
        '[{"kind": "embedding", "values": {"vector": {"array": "../outside.npy"}, "space": "x"}}]'
    )
    with pytest.raises(RunFailed):
        read_results(inside)
