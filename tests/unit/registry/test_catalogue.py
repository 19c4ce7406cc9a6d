"""A wrong model package must never be run: every lie of its files is found, in one line."""

from __future__ import annotations

import hashlib
import json
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from echonode.core.errors import NotFound, PackageInvalid
from echonode.registry.card import manifest_toml, model_card
from echonode.registry.catalogue import Catalogue
from echonode.registry.manifest import Manifest


def safetensors(tensors: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    header: dict[str, object] = {}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


GOOD = safetensors({"a": ("F32", [2, 3], bytes(24)), "b": ("F16", [4], bytes(8))})


def write_package(root: Path, *, name: str = "toy", weights: bytes = GOOD, digest: str | None = None) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "flow.safetensors").write_bytes(weights)
    manifest = Manifest.model_validate(
        {
            "name": name, "version": "1", "task": "slow_motion", "title": "Toy", "trained_on": "nothing",
            "weights": [{"file": "flow.safetensors", "sha256": digest or hashlib.sha256(weights).hexdigest()}],
        }
    )  # fmt: skip
    (folder / "manifest.toml").write_text(manifest_toml(manifest))
    return folder


def refusal(root: Path, name: str = "toy") -> str:
    with pytest.raises(PackageInvalid) as caught:
        Catalogue([root]).get(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_shipped_package_is_sound(checkout: Path) -> None:
    """The node slows loops down out of the box."""
    package = Catalogue([checkout / "models"]).get("optical-flow")
    assert package.task == "slow_motion"
    assert package.architecture == {}
    assert package.input["frame_gap_ms_max"] == 45.0


def test_shipped_card_is_the_manifest_in_words(checkout: Path) -> None:
    folder = checkout / "models" / "optical-flow"
    manifest = Catalogue([checkout / "models"]).manifest("optical-flow")
    assert (folder / "MODEL_CARD.md").read_text() == model_card(manifest)


def test_sound_package_and_its_digest(tmp_path: Path) -> None:
    folder = write_package(tmp_path)
    catalogue = Catalogue([tmp_path, tmp_path / "absent"])
    assert catalogue.names() == ["toy"]
    package = catalogue.get("toy")
    assert package.weights == {"flow": folder / "flow.safetensors"}
    text = (folder / "manifest.toml").read_text()
    (folder / "manifest.toml").write_text(text.replace('"Toy"', '"Other words"'))
    assert catalogue.get("toy").digest == package.digest, "prose must not make a new model of it"
    (folder / "manifest.toml").write_text(text.replace('version = "1"', 'version = "2"'))
    assert catalogue.get("toy").digest != package.digest, "a changed file must be noticed"


@pytest.mark.parametrize("name", ["nobody", "../toy", "Toy", "", "a/b", "x" * 64, "toy\n", "toy\x00"])
def test_names_that_are_no_models(name: str, tmp_path: Path) -> None:
    write_package(tmp_path)
    with pytest.raises(NotFound):
        Catalogue([tmp_path / "toy", tmp_path]).get(name)


def test_same_name_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    write_package(tmp_path / "one")
    write_package(tmp_path / "two")
    with pytest.raises(PackageInvalid, match="two folders"):
        Catalogue([tmp_path / "one", tmp_path / "two"]).get("toy")


def test_wrong_digest(tmp_path: Path) -> None:
    write_package(tmp_path, digest="0" * 64)
    assert "SHA-256" in refusal(tmp_path)


def test_missing_weights(tmp_path: Path) -> None:
    (write_package(tmp_path) / "flow.safetensors").unlink()
    assert "not there" in refusal(tmp_path)


def _link(folder: Path) -> None:
    outside = folder.parent / "outside.safetensors"
    (folder / "flow.safetensors").rename(outside)
    (folder / "flow.safetensors").symlink_to(outside)


@pytest.mark.parametrize(
    "spoil",
    [
        _link,
        lambda folder: (folder / "sub").mkdir(),
        lambda folder: (folder / "code.py").write_text("print()"),
        lambda folder: (folder / "more.safetensors").write_bytes(GOOD),
    ],
    ids=["link", "folder", "code", "unlisted weights"],
)
def test_surplus_or_linked_files(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    spoil(write_package(tmp_path))
    refusal(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "toy"', 'name = "other"'),
        ('file = "flow.safetensors"', 'file = "../flow.safetensors"'),
        ('file = "flow.safetensors"', 'file = "flow.pt"'),
        ('version = "1"', 'version = "1"\nsurprise = 1'),
        ('version = "1"', "version = "),
        ("schema_version = 1", "schema_version = 2"),
    ],
)
def test_wrong_manifests(old: str, new: str, tmp_path: Path) -> None:
    path = write_package(tmp_path) / "manifest.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    refusal(tmp_path)


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"\x80\x02",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{]",
        GOOD[:-1],
        GOOD + b"x",
        safetensors({"a": ("F32", [1 << 40, 3], bytes(24))}),
        safetensors({"a": ("F32", [-2, -3], bytes(24))}),
        safetensors({"a": ("PICKLE", [6], bytes(24))}),
        struct.pack("<Q", 5000) + b"[" * 5000,
    ],
)
def test_lying_weights(weights: bytes, tmp_path: Path) -> None:
    write_package(tmp_path, weights=weights)
    refusal(tmp_path)


def test_manifest_survives_hostile_text(tmp_path: Path) -> None:
    manifest = Manifest.model_validate(
        {
            "name": "toy", "version": "1", "task": "t", "title": 'x"\n\\ [a]', "trained_on": "\x7f\x01é",
            "config": {"a b": [1, 2.5, True, "q'"], "deep": {"k": 1}}, "output": [{"name": "loop"}],
        }
    )  # fmt: skip
    assert Manifest.model_validate(tomllib.loads(manifest_toml(manifest))) == manifest
