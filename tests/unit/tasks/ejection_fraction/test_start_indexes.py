"""The authors' starts come as a pickle: their numbers are wanted, and nothing in the file may run."""

from __future__ import annotations

import collections
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echonode.core.errors import BadInput
from echonode.tasks.ejection_fraction.start_indexes import read_start_indexes


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["int64", "int32", ">i8", "uint16"])
def test_arrays_of_numpy_are_read_without_numpy_being_called(protocol: int, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "starts.pkl"
    content = {"0X1.avi": np.array([84, 10, 75], kind), "0X2.avi": [np.int64(3), 4], "0X3.avi": np.array([802], kind)}
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    assert read_start_indexes(file) == {"0X1.avi": [84, 10, 75], "0X2.avi": [3, 4], "0X3.avi": [802]}


def test_json_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "starts.json"
    file.write_text(json.dumps({"a.avi": [1, 2, 3]}))
    assert read_start_indexes(file) == {"a.avi": [1, 2, 3]}


@pytest.mark.parametrize("where", ["value", "key", "inside"])
def test_code_in_the_pickle_never_runs(where: str, tmp_path: Path) -> None:
    file, trace = tmp_path / "starts.pkl", tmp_path / "trace"
    bomb: Any = Bomb(trace)
    content = {"value": {"a": bomb}, "key": {(bomb,): [1]}, "inside": {"a": [bomb]}}[where]
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(BadInput, match=r"mkdir.*never unpickled") as caught:
        read_start_indexes(file)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        [1, 2], {"a": "text"}, {"a": []}, {"a": [-1]}, {"a": [1.5]}, {"a": [True, None]}, {1: [1]}, {"a": np.ones((2, 2), np.int64)},
        {"a": np.array([1.0])}, {"a": np.array([None])}, {"a": np.array(["x"])}, {"a": collections.OrderedDict()}, {"a": {"b": 1}},
    ],
)  # fmt: skip
def test_anything_but_frame_numbers_is_one_line(content: object, tmp_path: Path) -> None:
    file = tmp_path / "starts.pkl"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(BadInput) as caught:
        read_start_indexes(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x04",
        b"\x80\x04K\x01",
        b"{",
        b"[" * 100_000,
        b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_damaged_files_are_one_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "starts.pkl"
    file.write_bytes(data)
    with pytest.raises(BadInput):
        read_start_indexes(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read_start_indexes(tmp_path / "absent")


def test_a_pickle_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "starts.pkl"
    whole = pickle.dumps({"0X1.avi": np.array([84, 10, 75])})
    for length in range(1, len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(BadInput):
            read_start_indexes(file)
