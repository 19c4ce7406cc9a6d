"""A package is other people's data: whatever is wrong with it costs one line, never a run and never a file elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from echonode.core.errors import BadInput, PackageInvalid
from echonode.registry.installing import put_aside, settle, staged
from echonode.registry.verify import verify


def safetensors(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


SOUND = safetensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8))


def write(
    folder: Path, *, weights: bytes = SOUND, digest: str = "", file: str = "w.safetensors", more: str = ""
) -> Path:
    package = folder / "hostile"
    package.mkdir(parents=True)
    (package / "w.safetensors").write_bytes(weights)
    (package / "manifest.toml").write_text(
        f'name = "hostile"\nversion = "1"\ntask = "sample"\ntitle = "T"\ntrained_on = "nothing"\n{more}\n'
        f'[[weights]]\nfile = "{file}"\nsha256 = "{digest or sha256(weights).hexdigest()}"\n'
    )
    return package


def linked(folder: Path) -> Path:
    package = write(folder)
    (folder / "secret").write_bytes(SOUND)
    (package / "w.safetensors").unlink()
    (package / "w.safetensors").symlink_to(folder / "secret")
    return package


def without_title(folder: Path) -> Path:
    manifest = write(folder) / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('title = "T"\n', ""))
    return manifest.parent


def with_code(folder: Path) -> Path:
    package = write(folder)
    (package / "setup.py").write_text("raise SystemExit")
    return package


def cut_off(folder: Path) -> Path:
    package = write(folder)
    os.truncate(package / "w.safetensors", 20)
    return package


def weights(header: dict[str, Any], data: bytes = b"") -> Callable[[Path], Path]:
    return lambda folder: write(folder, weights=safetensors(header, data))


HUGE = {"w": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 1 << 62]}}
MANY = {"w": {"dtype": "F32", "shape": [1 << 62] * 100_000, "data_offsets": [0, 8]}}
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "wrong digest": (lambda folder: write(folder, digest="0" * 64), "SHA-256 is"),
    "missing field": (without_title, "title: Field required"),
    "unknown field": (lambda folder: write(folder, more='hook = "x:y"'), "hook: Extra inputs"),
    "path upwards": (lambda folder: write(folder, file="../w.safetensors"), "weights.0.file"),
    "absolute path": (lambda folder: write(folder, file="/etc/w.safetensors"), "weights.0.file"),
    "link": (linked, "plain files only"),
    "code": (with_code, "data, never code"),
    "cut off": (cut_off, "header claims"),
    "huge tensor": (weights(HUGE), "does not fit its place"),
    "endless shape": (weights(MANY), "no sound dtype, shape and place"),
    "overlap": (
        weights({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}, bytes(8)),
        "does not fit its place",
    ),
    "header larger than the file": (lambda folder: write(folder, weights=(1 << 60).to_bytes(8, "little")), "claims"),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_each_is_refused_in_one_line(tmp_path: Path, fault: str) -> None:
    make, says = HOSTILE[fault]
    package, into = make(tmp_path), tmp_path / "models"

    def copy() -> None:
        with staged(package, into=into):
            pass

    for attempt in (lambda: verify(package), copy):
        with pytest.raises(PackageInvalid) as told:
            attempt()
        assert says in str(told.value)
        assert "\n" not in str(told.value)
        assert told.value.exit_code == 2
    assert not into.exists()


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echonode.registry.verify.WEIGHTS_BYTES", 10)
    with pytest.raises(PackageInvalid, match="bytes, more than 10"):
        verify(write(tmp_path))


def test_a_text_beyond_the_limit_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write(tmp_path)
    (package / "README.md").write_text("x" * 100)
    monkeypatch.setattr("echonode.registry.verify.PROSE_BYTES", 99)
    with pytest.raises(PackageInvalid, match="100 bytes of text, more than 99"):
        verify(package)


def test_a_package_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    package, into = write(tmp_path), tmp_path / "models"
    with pytest.raises(RuntimeError), staged(package, into=into):
        raise RuntimeError("its contract tests failed")
    assert list(into.iterdir()) == []
    with staged(package, into=into) as copy:
        assert not (into / "hostile").exists()
        found = settle(copy, into=into)
    assert found.digest == verify(package).digest
    assert [path.name for path in into.iterdir()] == ["hostile"]
    with pytest.raises(BadInput, match="already a model of that name"), staged(package, into=into):
        pass


def test_a_folder_that_may_not_go_comes_back(tmp_path: Path) -> None:
    package = write(tmp_path)
    with pytest.raises(RuntimeError), put_aside(package):
        raise RuntimeError("it is active")
    assert verify(package)
    with put_aside(package):
        assert not package.exists()
    assert list(tmp_path.iterdir()) == []
    with put_aside(package):  # somebody removed it by hand
        pass
