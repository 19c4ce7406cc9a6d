"""What a model is trained and tested on, frozen: every file with its SHA-256, every item in one split, by patient."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from echonode.core.errors import BadInput
from echonode.core.identity import digest_of
from echonode.registry.verify import sha256_of
from echonode.training.atomic import write_text

FORMAT = 1
SHARES = (0.70, 0.15, 0.15)
LOCKED_TEST = "; locked test: "
"""What comes before the locked test in the words of a data set's source."""


class Split(StrEnum):
    """What an item is for: to learn from, to choose by, or to be told the error on (locked)."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


_NAMES = {
    "train": Split.TRAIN, "training": Split.TRAIN, "val": Split.VALIDATION, "valid": Split.VALIDATION,
    "validation": Split.VALIDATION, "dev": Split.VALIDATION, "test": Split.TEST, "testing": Split.TEST,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file: which of the manifest's roots it lies under, its path there with slashes, its digest and size."""

    root: int = 0
    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What a reader of a layout finds: one item before it is frozen.

    `patient` is never in two splits; `split` is what the site gave, or None. `files` are paths as found. `phantom` is
    the cohort's text and the number of the study in it.
    """

    key: str
    patient: str
    files: tuple[Path, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    split: Split | None = None
    phantom: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One item of a frozen data set; `labels` are values that JSON knows."""

    key: str
    patient: str
    split: Split
    files: tuple[FileEntry, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    phantom: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetManifest:
    """A frozen data set, its items sorted by key.

    `source` says in words what it is; `roots` are the folders that the files lie under on this machine, which are no
    part of the digest: the same files elsewhere are the same data set.

    Raises:
        BadInput: no items, two items of one key, or a patient in two splits.
    """

    name: str
    items: tuple[Item, ...]
    source: str
    seed: int
    roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.items:
            raise BadInput(f"data set {self.name}: nothing in it")
        keys = Counter(item.key for item in self.items)
        if twice := [key for key, count in keys.items() if count > 1]:
            raise BadInput(f"data set {self.name}: item {twice[0]!r} is there twice")
        splits: dict[str, Split] = {}
        for item in self.items:
            if splits.setdefault(item.patient, item.split) is not item.split:
                raise BadInput(
                    f"data set {self.name}: patient {item.patient!r} is in {splits[item.patient]} and in {item.split}; "
                    "a patient belongs to one split alone"
                )
        object.__setattr__(self, "items", tuple(sorted(self.items, key=lambda item: item.key)))

    @property
    def digest(self) -> str:
        """SHA-256 in hex over names, files, labels and splits; where the files lie does not change it."""
        return digest_of(self._content())

    @property
    def simulated(self) -> bool:
        """Whether every item comes from the simulated heart, made now or written into files that say so."""
        return all(item.phantom is not None or item.labels.get("simulated") is True for item in self.items)

    @property
    def learned_from(self) -> str:
        """`source` without the locked test: what a model's card may say that it was trained on."""
        return self.source.partition(LOCKED_TEST)[0]

    def by_split(self) -> dict[Split, tuple[Item, ...]]:
        """The items of each split, in the order of their keys; every split has an entry."""
        return {split: tuple(item for item in self.items if item.split is split) for split in Split}

    def path(self, file: FileEntry) -> Path:
        """Where a file lies on this machine."""
        return Path(self.roots[file.root]) / file.path

    def paths(self, item: Item) -> tuple[Path, ...]:
        """Where the files of an item lie on this machine."""
        return tuple(self.path(file) for file in item.files)

    def save(self, path: Path) -> None:
        """Write it as JSON, sorted, at once and whole."""
        content = {"format": FORMAT, "digest": self.digest, "roots": list(self.roots), **self._content()}
        write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> DatasetManifest:
        """The data set that `save` wrote.

        Raises:
            BadInput: no such file, of another format, changed since it was written, or a patient in two splits.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise BadInput(f"{path}: format {content['format']}, but {FORMAT} is expected")
            found = cls(
                name=content["name"], source=content["source"], seed=content["seed"], roots=tuple(content["roots"]),
                items=tuple(_item(each) for each in content["items"]),
            )  # fmt: skip
            written = content["digest"]
        except OSError as error:
            raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}: is no data set manifest: {type(error).__name__}: {error}") from error
        if found.digest != written:
            raise BadInput(f"{path}: was changed: its digest is {found.digest[:16]}, but it says {str(written)[:16]}")
        return found

    def _content(self) -> dict[str, Any]:
        return {
            "name": self.name, "source": self.source, "seed": self.seed, "items": [_plain(each) for each in self.items],
        }  # fmt: skip


def frozen(
    candidates: Iterable[Candidate],
    *,
    name: str,
    source: str,
    seed: int,
    roots: Sequence[Path] = (),
    shares: tuple[float, float, float] = SHARES,
) -> DatasetManifest:
    """The data set of `candidates`: files hashed, patients without a split of the site's put into one.

    The split of a patient is decided by the hash of name and seed, so that it stays when others are added; with
    three or more patients each split with a share has at least one. `roots` are the folders that the files are given
    relative to; a file under none of them is refused.

    Raises:
        BadInput: nothing there, a key twice, a patient whom the site put into two splits, or a file under no root.
    """
    found = list(candidates)
    given: dict[str, Split] = {}
    for each in found:
        if each.split is not None and given.setdefault(each.patient, each.split) is not each.split:
            raise BadInput(
                f"data set {name}: patient {each.patient!r} is in {given[each.patient]} and in {each.split}; "
                "a patient belongs to one split alone"
            )
    splits = given | drawn({each.patient for each in found} - given.keys(), seed=seed, shares=shares)
    places = tuple(root.resolve() for root in roots)
    return DatasetManifest(
        name=name, source=source, seed=seed, roots=tuple(str(place) for place in places),
        items=tuple(
            Item(
                key=each.key, patient=each.patient, split=splits[each.patient], phantom=each.phantom,
                labels=json.loads(json.dumps(dict(each.labels))), files=tuple(_entry(file, places) for file in each.files),
            )
            for each in found
        ),
    )  # fmt: skip


def drawn(patients: Iterable[str], *, seed: int, shares: tuple[float, float, float] = SHARES) -> dict[str, Split]:
    """A split for each patient, by the hash of name and seed: about `shares` of them (train, validation, test)."""
    places = {patient: _place(patient, seed) for patient in patients}
    whole = sum(shares)
    bounds = (shares[0] / whole, (shares[0] + shares[1]) / whole)
    splits = {
        patient: Split.TRAIN if place < bounds[0] else Split.VALIDATION if place < bounds[1] else Split.TEST
        for patient, place in places.items()
    }
    wanted = [split for split, share in zip(Split, shares, strict=True) if share > 0]
    if len(places) >= len(wanted):
        for split in wanted:
            if split not in splits.values():
                counts = Counter(splits.values())
                richest = max(Split, key=lambda each: counts[each])
                moved = min(
                    (patient for patient in splits if splits[patient] is richest), key=lambda each: places[each]
                )
                splits[moved] = split
    return splits


def verify(
    manifest: DatasetManifest, root: Path | None = None, *, tell: Callable[[int, int], None] | None = None
) -> None:
    """Nothing, when every file is what it was when the data set was frozen; `root` stands for all roots when given.

    Raises:
        BadInput: a file is gone, or has another size or SHA-256; the message names it.
    """
    files = {(file.root, file.path): file for item in manifest.items for file in item.files}
    for done, file in enumerate(files.values(), start=1):
        path = root / file.path if root is not None else manifest.path(file)
        if not path.is_file():
            raise BadInput(f"{path}: is gone since the data set was frozen")
        if path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
            raise BadInput(f"{path}: was changed since the data set was frozen")
        if tell is not None:
            tell(done, len(files))


def split_named(text: str) -> Split:
    """The split that a list calls TRAIN, VAL, valid, test ...

    Raises:
        BadInput: it is none of these.
    """
    found = _NAMES.get(text.strip().lower())
    if found is None:
        raise BadInput(f"split {text[:40]!r}: train, validation (val) or test is expected")
    return found


def _place(patient: str, seed: int) -> float:
    """Where in [0, 1) the patient falls."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8], "big") / 2**64


def _entry(file: Path, roots: Sequence[Path]) -> FileEntry:
    whole = Path(os.path.abspath(file))  # noqa: PTH100  a link inside a data set stays a name of the data set
    for number, root in enumerate(roots):
        for path in (whole, file.resolve()):
            if path.is_relative_to(root):
                return FileEntry(
                    root=number,
                    path=path.relative_to(root).as_posix(),
                    sha256=sha256_of(file),
                    bytes=file.stat().st_size,
                )
    raise BadInput(f"{file}: lies under none of the data set's folders")


def _plain(item: Item) -> dict[str, Any]:
    return {
        "key": item.key, "patient": item.patient, "split": str(item.split), "labels": dict(item.labels),
        "files": [
            {"root": file.root, "path": file.path, "sha256": file.sha256, "bytes": file.bytes} for file in item.files
        ],
        "phantom": None if item.phantom is None else list(item.phantom),
    }  # fmt: skip


def _item(content: Mapping[str, Any]) -> Item:
    phantom = content["phantom"]
    return Item(
        key=content["key"], patient=content["patient"], split=Split(content["split"]), labels=content["labels"],
        files=tuple(FileEntry(**file) for file in content["files"]),
        phantom=None if phantom is None else (phantom[0], phantom[1]),
    )  # fmt: skip
