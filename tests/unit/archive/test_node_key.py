"""The node's key is drawn once, belongs to the node alone, and a file that is none is not taken for one."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from echonode.archive.node_key import FILE, KEY_BYTES, make_node_key, read_node_key
from echonode.core.errors import ConfigurationError


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = make_node_key(tmp_path / "data")
    path = tmp_path / "data" / FILE
    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_node_key(tmp_path / "data") == read_node_key(tmp_path / "data") == key
    assert [each.name for each in path.parent.iterdir()] == [FILE]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make_node_key, [tmp_path] * 32))) == 1


def test_two_nodes_have_two_keys(tmp_path: Path) -> None:
    assert make_node_key(tmp_path / "a") != make_node_key(tmp_path / "b")


def test_without_a_node_there_is_no_key(tmp_path: Path) -> None:
    assert read_node_key(tmp_path) is None


def test_what_others_could_read_is_narrowed(tmp_path: Path) -> None:
    make_node_key(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    read_node_key(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"x" * (KEY_BYTES + 1)])
def test_a_file_that_holds_no_key_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match="32 random bytes"):
        read_node_key(tmp_path)
