"""Whether a model package is what its manifest says: names, digests, and the header of every weights file.

Nothing is loaded: a safetensors file is read up to its header (8 bytes length, JSON), and hashed.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from echonode.core.errors import PackageInvalid
from echonode.core.identity import digest_of
from echonode.core.package import Package
from echonode.registry.manifest import InputContract, Manifest

MANIFEST_FILE, CARD_FILE = "manifest.toml", "MODEL_CARD.md"
MANIFEST_BYTES = 1 << 20
HEADER_BYTES = 8 << 20
WEIGHTS_BYTES = 8 << 30
TENSORS = 20_000
DIMENSIONS = 16
PROSE_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
ADDED_LIMITS = ("tte_only", "frames_per_beat_min")
PROSE_SUFFIXES = frozenset({".md", ".txt", ""})


def read_manifest(folder: Path) -> Manifest:
    """The checked manifest of the package in `folder`.

    Raises:
        PackageInvalid: no manifest, no TOML, a wrong key or value, or a name that is not the folder's.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file() or path.is_symlink():
        raise PackageInvalid(f"{path}: not found; a model package is a folder with a {MANIFEST_FILE}")
    if path.stat().st_size > MANIFEST_BYTES:
        raise PackageInvalid(f"{path}: larger than {MANIFEST_BYTES} bytes")
    try:
        manifest = Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageInvalid(f"{path}: cannot be read as TOML: {error}") from error
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in complaint["loc"]) or "the file"
        raise PackageInvalid(f"{path}: {key}: {complaint['msg']}") from error
    if manifest.name != folder.name:
        raise PackageInvalid(f"{path}: the name is {manifest.name!r}, but the folder is {folder.name!r}")
    return manifest


def read_header(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file by name (dtype, shape, data_offsets), checked against the file's size.

    Raises:
        PackageInvalid: the header is cut off, too large, no JSON, or promises bytes that are not in the file.
    """
    size = path.stat().st_size
    if size > WEIGHTS_BYTES:
        raise PackageInvalid(f"{path}: {size} bytes, more than {WEIGHTS_BYTES}")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(HEADER_BYTES, max(0, size - 8)):
            raise PackageInvalid(f"{path}: no safetensors file: its header claims {length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"{path}: no safetensors file: its header is no JSON") from error
    if not isinstance(header, dict):
        raise PackageInvalid(f"{path}: no safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    if len(header) > TENSORS:
        raise PackageInvalid(f"{path}: {len(header)} tensors, more than {TENSORS}")
    room = size - 8 - length
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _begin(path, *item)):
        begin, stop = entry["data_offsets"]
        expected = math.prod(entry["shape"]) * ITEM_BYTES[entry["dtype"]]
        if begin != end or stop - begin != expected or stop > room:
            raise PackageInvalid(
                f"{path}: tensor {name[:80]!r} of shape {entry['shape'][:8]} does not fit its place in the file"
            )
        end = stop
    if end != room:
        raise PackageInvalid(f"{path}: {room - end} bytes belong to no tensor")
    return header


def sha256_of(path: Path) -> str:
    """SHA-256 in hex of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def package_digest(manifest: Manifest) -> str:
    """One digest over what the model does: prose (title, card, licence) does not change it."""
    meaning = manifest.model_dump(
        mode="json", include={"name", "version", "task", "architecture", "config", "preparation", "weights", "input"}
    )
    # A limit that a later version of echonode knows must not make a new model of a package that does not set it.
    for name in ADDED_LIMITS:
        if meaning["input"][name] == InputContract.model_fields[name].default:
            del meaning["input"][name]
    # What may run on a patient is part of what the model does: the mark must not come off unnoticed.
    if manifest.simulated:
        meaning["simulated"] = True
    return digest_of(meaning)


def verify(folder: Path) -> Package:
    """The package in `folder`, when every file of it is what the manifest says.

    Raises:
        PackageInvalid: with the file and what is wrong with it, in one line.
    """
    manifest = read_manifest(folder)
    listed = {weights.file: weights for weights in manifest.weights}
    if len(listed) != len(manifest.weights):
        raise PackageInvalid(f"{folder / MANIFEST_FILE}: a weights file is listed twice")
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise PackageInvalid(f"{path}: a model package holds plain files only")
        if path.name not in listed and path.name != MANIFEST_FILE and path.suffix.lower() not in PROSE_SUFFIXES:
            raise PackageInvalid(f"{path}: is not listed in {MANIFEST_FILE}; a model package is data, never code")
        if path.name not in listed and path.stat().st_size > PROSE_BYTES:
            raise PackageInvalid(f"{path}: {path.stat().st_size} bytes of text, more than {PROSE_BYTES}")
    for weights in manifest.weights:
        path = folder / weights.file
        if not path.is_file():
            raise PackageInvalid(f"{path}: listed in {MANIFEST_FILE}, but not there")
        read_header(path)
        found = sha256_of(path)
        if found != weights.sha256:
            raise PackageInvalid(f"{path}: SHA-256 is {found}, but {MANIFEST_FILE} says {weights.sha256}")
    return Package(
        name=manifest.name,
        version=manifest.version,
        task=manifest.task,
        title=manifest.title,
        folder=folder,
        digest=package_digest(manifest),
        architecture=manifest.architecture,
        config=manifest.config,
        input=manifest.input.model_dump(mode="json"),
        weights={Path(name).stem: folder / name for name in listed},
        weights_sha256={Path(name).stem: weights.sha256 for name, weights in listed.items()},
        preparation=manifest.preparation,
        trained_on=manifest.trained_on,
        intended_use=manifest.intended_use,
        simulated=manifest.simulated,
        metrics=tuple(metric.model_dump(mode="json") for metric in manifest.metrics),
    )


def _begin(path: Path, name: str, entry: Any) -> int:
    try:
        begin, stop = entry["data_offsets"]
        numbers = [begin, stop, *entry["shape"]]
        known = entry["dtype"] in ITEM_BYTES and len(entry["shape"]) <= DIMENSIONS
        sound = known and all(type(number) is int and number >= 0 for number in numbers)
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound:
        raise PackageInvalid(f"{path}: tensor {name[:80]!r} has no sound dtype, shape and place")
    return int(entry["data_offsets"][0])
