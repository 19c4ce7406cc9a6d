"""Loops of a site into clips to learn from: cut to whole beats and to size, split so that nobody is on both sides.

The layout is that of the published method, <out>/{train,validation,test}/<clip>/<frame>.png with clips of 12 frames
that do not overlap; a manifest beside it says where each clip comes from. No torch.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from echonode import __version__
from echonode.core.clip import Clip, Mode
from echonode.core.errors import BadInput, EchonodeError
from echonode.core.identity import digest_of
from echonode.core.results import Ineligible
from echonode.tasks.common.sector import find_scene
from echonode.tasks.slow_motion.beats import beats_of, cut_to
from echonode.tasks.slow_motion.crop import Size, crop_box, cropped, sized
from echonode.tasks.slow_motion.eligibility import MODE_WORDS, Limits
from echonode.tasks.slow_motion.sources import FORMAT, MANIFEST, owner_of, read_source, source_files
from echonode.training.atomic import write_text
from echonode.training.dataset import Split, drawn

CLIP_FRAMES: Final = 12
UNSPLIT: Final = ".unsplit"  # clips wait here until it is known whose there are
PUBLISHED_VALIDATION: Final = (100, 0.2)
COMPRESSION: Final = 3
TWO_D_MODES: Final = frozenset({Mode.B_MODE, Mode.UNKNOWN})
COLOUR_MODES: Final = frozenset({Mode.COLOUR})

Told = Callable[[int, int, str], None]
"""Hears how many of how many sources are done, and a line about the last one."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What to make of which loops.

    `test` are held out as a whole; without them `test_share` of the owners is. `split_by` says who an owner is.
    `validation_share` is of the owners that are left to learn from; layout "published" takes a fifth of the test
    clips instead, at most 100, as the authors did: then validation is of the patients of the test. `crop` is None,
    "sector" (the box of what moves) or a size, placed as the authors placed it. `beats` 0 leaves loops whole.

    Raises:
        BadInput: a value that makes no sense.
    """

    train: tuple[Path, ...]
    test: tuple[Path, ...] = ()
    out: Path
    split_by: Literal["study", "patient"] = "study"
    test_share: float = 0.15
    validation_share: float = 0.15
    layout: Literal["sound", "published"] = "sound"
    crop: Size | Literal["sector"] | None = None
    size: Size | None = None
    beats: int = 2
    clip_frames: int = CLIP_FRAMES
    colour: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.train:
            raise BadInput("--train is missing: folders or files of loops to learn from")
        for name, share in (("test", self.test_share), ("validation", self.validation_share)):
            if not 0 <= share < 1:
                raise BadInput(f"the {name} share {share:g}: from 0 to below 1 is expected")
        if self.test_share + self.validation_share >= 1:
            raise BadInput("test and validation shares leave nothing to learn from")
        if self.clip_frames < 3:
            raise BadInput(f"clips of {self.clip_frames} frames: at least 3 are needed, one between two others")
        if self.beats < 0:
            raise BadInput(f"{self.beats} beats: 0 for whole loops, or how many")

    def as_json(self) -> dict[str, Any]:
        """What decides the result, without the folders of this machine."""
        return {
            "split_by": self.split_by, "test": "given" if self.test else self.test_share, "layout": self.layout,
            "validation": self.validation_share if self.layout == "sound" else list(PUBLISHED_VALIDATION),
            "crop": list(self.crop) if isinstance(self.crop, tuple) else self.crop,
            "size": None if self.size is None else list(self.size), "beats": self.beats,
            "clip_frames": self.clip_frames, "colour": self.colour, "seed": self.seed,
        }  # fmt: skip


@dataclass(kw_only=True)
class Prepared:
    """What was written: clips of each split, owners of each split, and the loops that were left out with the reason."""

    clips: Counter[str] = field(default_factory=Counter)
    owners: dict[str, set[str]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Counts, and what was left out."""
        return {
            "clips": dict(self.clips),
            "owners": {split: len(names) for split, names in self.owners.items()},
            "left_out": [{"source": source, "reason": reason} for source, reason in self.left_out],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """A file with its name in the manifest and the pseudonym of its owner."""

    file: Path
    name: str
    owner: str


def prepare(preparation: Preparation, *, told: Told = lambda done, total, line: None) -> Prepared:
    """Write the clips and, last of all, the manifest.

    Raises:
        BadInput: `out` is not empty, an owner is on both sides, nothing to learn from, or no loop that can be used.
        OSError: the disk is full or broken.
    """
    _require_empty(preparation.out)
    found = Prepared()
    learnt = _sources(preparation.train, preparation, found)
    locked = _sources(preparation.test, preparation, found)
    _refuse_both(learnt, locked, preparation)
    unsplit = preparation.out / UNSPLIT
    entries: list[dict[str, Any]] = []
    everything = [*learnt, *locked]
    for done, source in enumerate(everything, start=1):
        reason = ""
        try:
            made = list(_clips_of(source, preparation, into=unsplit, first=len(entries)))
            reason = "" if made else f"too few frames for a clip of {preparation.clip_frames}"
        except EchonodeError as error:
            made, reason = [], str(error)
        if reason:
            found.left_out.append((source.name, reason))
        entries += made
        told(done, len(everything), f"{source.name}: {reason or f'{len(made)} clips'}")
    if not entries:
        reasons = Counter(reason for _, reason in found.left_out).most_common(3)
        raise BadInput("no loop that can be used: " + "; ".join(f"{reason} ({count})" for reason, count in reasons))
    held = {source.owner for source in locked}
    splits = _splits({entry["study"] for entry in entries} - held, preparation) | dict.fromkeys(held, Split.TEST)
    for entry in entries:
        entry["split"] = str(splits[entry["study"]])
    if preparation.layout == "published":
        _published_validation(entries, preparation)
    for entry in entries:
        name = f"{found.clips[entry['split']]:06d}"
        (preparation.out / entry["split"]).mkdir(exist_ok=True)
        (unsplit / entry["clip"]).rename(preparation.out / entry["split"] / name)
        entry["clip"] = name
        found.clips[entry["split"]] += 1
        found.owners.setdefault(entry["split"], set()).add(entry["study"])
    unsplit.rmdir()
    _write_manifest(entries, preparation, found)
    return found


def _require_empty(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = any(out.iterdir())
    except OSError as error:
        raise BadInput(f"{out}: cannot be used as a folder: {error.strerror}") from error
    if there:
        raise BadInput(f"{out}: is not empty; a new folder was expected")


def _sources(roots: Sequence[Path], preparation: Preparation, found: Prepared) -> list[_Source]:
    sources: dict[Path, _Source] = {}
    for root in roots:
        folder = root if root.is_dir() else root.parent
        for file in source_files(root):
            name = f"{folder.resolve().name}/{file.relative_to(folder).as_posix()}"
            try:
                owner = owner_of(file, root=folder, by=preparation.split_by)
            except EchonodeError as error:
                found.left_out.append((name, str(error)))
                continue
            # Who it is stays with the site: the manifest travels with the clips.
            sources[file.resolve()] = _Source(file=file, name=name, owner=digest_of([owner])[:16])
    return list(sources.values())


def _refuse_both(learnt: Sequence[_Source], locked: Sequence[_Source], preparation: Preparation) -> None:
    both = {source.owner for source in learnt} & {source.owner for source in locked}
    if both:
        name = next(source.name for source in learnt if source.owner in both)
        raise BadInput(f"{name}: its {preparation.split_by} is in --train and in --test; nobody may be on both sides")


def _splits(owners: set[str], preparation: Preparation) -> dict[str, Split]:
    """A split for each owner of --train that has a clip."""
    validation = preparation.validation_share if preparation.layout == "sound" else 0.0
    test = 0.0 if preparation.test else preparation.test_share
    shares = (1 - validation - test, validation, test)
    wanted = sum(share > 0 for share in shares)
    if len(owners) < wanted:
        words = "one study has" if len(owners) == 1 else f"{len(owners)} studies have"
        raise BadInput(f"{words} clips, too few to split {wanted} ways: more studies, --test, or shares of 0")
    return drawn(owners, seed=preparation.seed, shares=shares)


def _clips_of(source: _Source, preparation: Preparation, *, into: Path, first: int) -> Iterator[dict[str, Any]]:
    """Write the clips of one loop as folders from number `first` on; what the manifest says of each.

    Raises:
        EchonodeError: the loop cannot be read, or is not one to learn from.
    """
    whole = read_source(source.file)
    refusal = refused(whole, colour=preparation.colour)
    if refusal is not None:
        raise BadInput(refusal.reason)
    kept = beats_of(whole.times_ms, whole.r_waves_ms, beats=preparation.beats) or slice(0, len(whole.frames))
    clip = cut_to(whole, kept)
    place = crop_box(clip, preparation.crop)
    digest = _sha256(source.file)
    starts = range(0, len(clip.frames) - preparation.clip_frames + 1, preparation.clip_frames)
    for number, start in enumerate(starts, start=first):
        chosen = range(start, start + preparation.clip_frames)
        pictures = [sized(cropped(clip.frames[index], place), preparation.size) for index in chosen]
        _write_pictures(into / f"{number:06d}", pictures)
        yield {
            "clip": f"{number:06d}",
            "source": source.name,
            "sha256": digest,
            "study": source.owner,
            "frames": [kept.start + index for index in chosen],
            "times_ms": [float(time) for time in clip.times_ms[list(chosen)] - clip.times_ms[start]],
            "timed": whole.timed,
            "mode": str(whole.mode),
            "crop": list(place),
        }


def refused(clip: Clip, *, colour: bool) -> Ineligible | None:
    """Why a loop is not one to learn slow motion from; None when it is."""
    modes = TWO_D_MODES | COLOUR_MODES if colour else TWO_D_MODES
    if len(clip.frames) == 1:
        return Ineligible(reason="a still image", code="still")
    if clip.mode not in modes:
        return Ineligible(reason=f"it is {MODE_WORDS.get(clip.mode, f'of mode {clip.mode}')}", code="mode")
    if colour:
        return None
    scene = find_scene(clip.frames, clip.regions)
    if scene is None:
        return Ineligible(reason="nothing moves in it", code="frozen")
    if scene.colour_fraction > Limits().colour_fraction:
        return Ineligible(reason="it has colour in its sector; colour loops are taken when asked for", code="colour")
    return None


def _write_pictures(folder: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """A PNG a frame; grey where all three channels are the same in every frame."""
    grey = all(bool((picture == picture[:, :, :1]).all()) for picture in pictures)
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        image = Image.fromarray(np.ascontiguousarray(picture[:, :, 0] if grey else picture))
        image.save(folder / f"{index:06d}.png", compress_level=COMPRESSION)


def _published_validation(entries: Sequence[dict[str, Any]], preparation: Preparation) -> None:
    """A fifth of the test clips, at most 100, for validation: the authors' choice, kept for comparison."""
    tests = [entry for entry in entries if entry["split"] == Split.TEST]
    most, share = PUBLISHED_VALIDATION
    for entry in Random(preparation.seed).sample(tests, min(most, int(share * len(tests)))):
        entry["split"] = str(Split.VALIDATION)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_manifest(entries: Sequence[Mapping[str, Any]], preparation: Preparation, found: Prepared) -> None:
    content = {
        "format": FORMAT,
        "made_by": f"echonode {__version__}",
        "preparation": preparation.as_json(),
        "clips": sorted(entries, key=lambda entry: (str(entry["split"]), str(entry["clip"]))),
        "left_out": found.as_json()["left_out"],
    }
    write_text(preparation.out / MANIFEST, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
