"""A folder of videos and a list of them in, a table of predictions out: how the authors' own scripts are used."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from echonode.cli.guard import mark_of, marked
from echonode.cli.loaded import Loaded
from echonode.cli.options import existing
from echonode.cli.readings import Reading, evaluation_of, read_or_refuse
from echonode.cli.screen import Column, complain, console, say, show_json, show_rows
from echonode.core.errors import BadInput

NAME_COLUMNS = ("filename", "file_name", "name")
SPLIT_COLUMN = "split"
SUFFIXES = ("", ".avi", ".mp4", ".dcm")
MANIFEST_BYTES = 256 << 20
COLUMNS = ("filename", "split", "frames", "preds", "preparation", "per_clip", "label", "refused")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One row of a manifest: the file's name as it is written there, where it lies, its split and its label."""

    name: str
    path: Path
    split: str
    label: float | None


def listed_of(
    paths: Sequence[Path], *, manifest: Path | None, out: Path | None, split: str | None, labels: Sequence[str]
) -> list[Listed] | None:
    """The videos that --manifest lists, or None without it.

    Raises:
        BadInput: --manifest needs --out and one folder, --split and a table need it; or the manifest is wrong.
    """
    if manifest is None:
        if split is not None:
            raise BadInput("--split belongs to --manifest")
        if out is not None and out.suffix.lower() == ".csv":
            raise BadInput(f"--out {out}: a table of predictions belongs to --manifest; without it, name a folder")
        return None
    if out is None or len(paths) != 1 or not existing(paths[0]).is_dir():
        raise BadInput("--manifest needs one folder of videos, and --out for the predictions")
    return read_manifest(existing(manifest), paths[0], labels=labels, split=split)


def read_manifest(file: Path, folder: Path, *, labels: Sequence[str], split: str | None) -> list[Listed]:
    """The videos of `folder` that a CSV file lists; of one split alone when `split` is given.

    The column of names is `filename` or FileName (EchoNet-Dynamic's list, which leaves the suffix out); `labels` are
    names that the column of labels may have. Capitals do not matter.

    Raises:
        BadInput: no such column, a name twice or outside the folder, or a label that is no number.
    """
    try:
        if file.stat().st_size > MANIFEST_BYTES:
            raise BadInput(f"{file}: more than {MANIFEST_BYTES} bytes")
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [{str(key).strip().lower(): value or "" for key, value in row.items() if key is not None}
                    for row in csv.DictReader(stream)]  # fmt: skip
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{file}: is no CSV file: {error}") from error
    if not rows:
        raise BadInput(f"{file}: lists no video")
    naming = next((name for name in NAME_COLUMNS if name in rows[0]), None)
    if naming is None:
        raise BadInput(f"{file}: a column filename was expected; there are: {', '.join(rows[0])}")
    labelling = next((name.lower() for name in labels if name.lower() in rows[0]), None)
    found = [
        _listed(file, folder, row, naming=naming, labelling=labelling)
        for row in rows
        if split is None or row.get(SPLIT_COLUMN, "").strip().lower() == split.lower()
    ]
    names = [listed.name for listed in found]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"{file}: {twice} is listed twice; one of its predictions would be lost")
    if not found:
        raise BadInput(f"{file}: lists no video of the split {split!r}")
    return found


def predict(
    loaded: Loaded, listed: Sequence[Listed], *, out: Path, modes: Sequence[str], fps: float | None,
    parameters_of: Callable[[Listed], Mapping[str, Any] | str], as_json: bool,
) -> int:  # fmt: skip
    """Write a row of `out` for every video and mode, and print how right they were where labels are given.

    `parameters_of` gives the run's parameters for a video, or in words why it has none. Returns how many were refused.
    """
    pairs: dict[str, list[tuple[float, float]]] = {mode: [] for mode in modes}
    refused = 0
    with _whole(out) as stream, _counted(len(listed)) as tell:
        mark = mark_of(loaded.packages)
        writer = csv.DictWriter(stream, (*COLUMNS, *(["mark"] if mark else [])), lineterminator="\n")
        writer.writeheader()
        for video in listed:
            asked = parameters_of(video)
            view = _only_view(loaded)
            for reading in read_or_refuse(loaded, video.path, asked, modes=modes, fps=fps, view=view):
                writer.writerow(_row(video, reading) | ({"mark": mark} if mark else {}))
                if reading.refused is not None:
                    refused += 1
                    complain(f"{video.name}: refused: {reading.refused['reason']}")
                elif reading.prediction is not None and video.label is not None:
                    pairs[reading.preparation].append((video.label, reading.prediction))
            stream.flush()
            tell()
    _print_evaluation(loaded, pairs, as_json=as_json)
    if not as_json:
        say(f"{out}: {len(listed)} videos, {refused} refusals")
    return refused


def _only_view(loaded: Loaded) -> str | None:
    """Who lists videos for a model of one view has chosen them for it."""
    views = loaded.manifest.input.views
    return views[0] if len(views) == 1 else None


def _row(video: Listed, reading: Reading) -> dict[str, Any]:
    per_clip = reading.details.get("per_clip", reading.details.get("per_clip_logits", ()))
    return {
        "filename": video.name,
        "split": video.split,
        "frames": "" if reading.frames is None else reading.frames,
        "preds": "" if reading.prediction is None else repr(reading.prediction),
        "preparation": reading.preparation,
        "per_clip": " ".join(repr(value) for value in per_clip),
        "label": "" if video.label is None else repr(video.label),
        "refused": "" if reading.refused is None else reading.refused["reason"],
    }


def _print_evaluation(loaded: Loaded, pairs: Mapping[str, Sequence[tuple[float, float]]], *, as_json: bool) -> None:
    measure = loaded.tool("metrics")
    found = {
        mode: dict(measure([truth for truth, _ in both], [value for _, value in both])) | {
            "manifest_says": evaluation_of(loaded, mode)
        }
        for mode, both in pairs.items()
        if both
    }  # fmt: skip
    if as_json:
        about = {"model": loaded.package.name, "digest": loaded.package.digest}
        show_json(marked(loaded.packages, {**about, "evaluation": found}))
        return
    names = list(
        dict.fromkeys(
            name for row in found.values() for name, value in row.items() if not isinstance(value, list | dict)
        )
    )
    if found:
        rows = [{"preparation": mode} | row | _limits(row) for mode, row in found.items()]
        extra = list(dict.fromkeys(name for row in rows for name in row if name not in ("preparation", *names)
                                   and not isinstance(row[name], list | dict)))  # fmt: skip
        columns = [Column("preparation", "preparation")]
        columns += [
            Column(name.replace("_", " "), _cell(name), right=name != "manifest_says") for name in (*extra, *names)
        ]
        mark = mark_of(loaded.packages)
        show_rows(rows, [*columns, *([Column("notes", lambda _row: mark)] if mark else [])])


def _limits(row: Mapping[str, Any]) -> dict[str, str]:
    """95 % limits as text, beside the numbers that they belong to."""
    found = {}
    for name, limits in (("auc", row.get("auc_limits_95")), *dict(row.get("limits_95") or {}).items()):
        if limits is not None:
            found[f"{name} 95 %"] = f"{limits[0]:.3f} to {limits[1]:.3f}"
    return found


def _cell(name: str) -> Callable[[Mapping[str, Any]], Any]:
    def text(row: Mapping[str, Any]) -> Any:
        value = row.get(name, "")
        return f"{value:.4f}" if isinstance(value, float) else value

    return text


def _listed(file: Path, folder: Path, row: Mapping[str, str], *, naming: str, labelling: str | None) -> Listed:
    name = row[naming].strip()
    if not name or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise BadInput(f"{file}: {name[:80]!r} is no file name inside {folder}")
    path = next(
        (folder / f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").is_file()), folder / name
    )
    text = row.get(labelling, "").strip() if labelling else ""
    try:
        label = float(text) if text else None
    except ValueError as error:
        raise BadInput(f"{file}: {name}: the label {text[:40]!r} is no number") from error
    return Listed(name=name, path=path, split=row.get(SPLIT_COLUMN, "").strip() or "test", label=label)


@contextmanager
def _whole(out: Path) -> Iterator[IO[str]]:
    """A file that appears under its name when all of it is written.

    Raises:
        BadInput: its folder cannot be written.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        stream = part.open("x", newline="", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out}: cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _counted(total: int) -> Iterator[Callable[[], None]]:
    """How many videos are done, on a terminal; silence elsewhere."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda: None
        return
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=screen, transient=True) as bar:
        task = bar.add_task("videos", total=total)
        yield lambda: bar.advance(task)
