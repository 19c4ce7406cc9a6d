"""Import of a published checkpoint into a model package, all or nothing.

The file is read by the task's importer in a child process with a memory limit, because it is foreign data and because
reading it needs torch. The package is built in a hidden folder beside its place and appears with one rename.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from echonode.core.cores import threads_of
from echonode.core.errors import BadInput, CheckpointRefused, NotFound, PackageInvalid
from echonode.core.package import Package
from echonode.core.task import TaskSpec, installed_tasks
from echonode.registry.card import manifest_toml, model_card
from echonode.registry.catalogue import is_model_name
from echonode.registry.durable import make_durable
from echonode.registry.manifest import Manifest
from echonode.registry.verify import CARD_FILE, MANIFEST_FILE, sha256_of, verify

OWN_OPTIONS = frozenset({"licence", "title", "version", "trained_on", "intended_use", "preparation", "evaluated"})
FURTHER_FILES = "further_files"
FILE_BYTES = 4 << 30
MEMORY_BYTES = 8 << 30
TIMEOUT_SECONDS = 600.0
ANSWER_BYTES = 1 << 20
OPTION_CHARACTERS = 200


def importers() -> dict[str, TaskSpec]:
    """Every checkpoint kind that an installed task can import, with its task."""
    return {kind: spec for spec in installed_tasks().values() for kind in sorted(spec.importers)}


def import_checkpoint(
    kind: str,
    file: Path,
    *,
    name: str,
    into: Path,
    options: Mapping[str, str] | None = None,
    further: Sequence[Path] = (),
) -> Package:
    """The package `into/name`, made from the published checkpoint `file`.

    `further` files belong to the same model (the other networks of an ensemble), for kinds that take some.

    `options`: licence, title, version, trained_on, intended_use, preparation (one of the modes that the importer offers)
    and evaluated (modes, by commas) go into the manifest; the others are the importer's (superslomo: means,
    warp_convention). Arbitrary objects are never unpickled; when anything is wrong nothing is left behind.

    Raises:
        NotFound: no installed task imports that kind.
        BadInput: the name is no name or is taken.
        CheckpointRefused: the file is not what it claims to be, with what is wrong with it.
    """
    options = {key: " ".join(value.split())[:OPTION_CHARACTERS] for key, value in (options or {}).items()}
    known = importers()
    if kind not in known:
        raise NotFound(f"no task imports {kind!r}; there are: {', '.join(sorted(known)) or 'none'}")
    if not is_model_name(name):
        raise BadInput(f"{name[:80]!r} is no model name: lower-case letters, digits, dots, dashes, at most 63")
    target = into / name
    if os.path.lexists(target):
        raise BadInput(f"{target}: there is already a model of that name; choose another or remove it first")
    if FURTHER_FILES in options:
        raise BadInput(f"{FURTHER_FILES} is no option; further files are named after the first")
    files = [file, *further]
    for each in files:
        _require_plain_file(each)
    fresh = not into.exists()
    into.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".import-", dir=into))
    try:
        digests = {each: sha256_of(each) for each in files}
        task_options = {key: value for key, value in options.items() if key not in OWN_OPTIONS}
        if further:
            task_options[FURTHER_FILES] = json.dumps([str(each.resolve()) for each in further])
        answer = _read_in_child(known[kind].importers[kind], file, part, task_options)
        if {each: sha256_of(each) for each in files} != digests:
            raise CheckpointRefused(f"{file}: changed while it was read")
        _write_texts(part, _manifest(kind, digests, name=name, task=known[kind].name, answer=answer, own=options))
        make_durable(part)
        staged = part / name
        staged.mkdir()
        for path in sorted(part.iterdir()):
            if path != staged:
                path.rename(staged / path.name)
        make_durable(staged)
        verify(staged)
        if os.path.lexists(target):
            raise BadInput(f"{target}: there is already a model of that name; choose another or remove it first")
        staged.rename(target)
        make_durable(into)
    except (OSError, PackageInvalid) as error:
        raise CheckpointRefused(f"{file}: cannot be made a model package: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if fresh and not any(into.iterdir()):
            into.rmdir()
    return verify(target)


def _require_plain_file(file: Path) -> None:
    try:
        found = file.stat()
    except (OSError, ValueError) as error:
        raise CheckpointRefused(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointRefused(f"{file}: is no plain file")
    if not 0 < found.st_size <= FILE_BYTES:
        raise CheckpointRefused(f"{file}: {found.st_size} bytes; between 1 and {FILE_BYTES} are expected")


def _read_in_child(reference: str, file: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    work = {"reference": reference, "file": str(file.resolve()), "folder": str(folder.resolve()),
            "options": dict(options), "memory_bytes": MEMORY_BYTES}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="echonode-import-") as scratch:
        answer_file = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "echonode.registry.import_child", str(answer_file)]
        environment = os.environ | threads_of(1) | {"CUDA_VISIBLE_DEVICES": ""}
        try:
            child = subprocess.run(
                command, input=json.dumps(work).encode(), env=environment, capture_output=True,
                timeout=TIMEOUT_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CheckpointRefused(f"{file}: reading it took more than {TIMEOUT_SECONDS:.0f} s") from error
        if not answer_file.is_file() or answer_file.stat().st_size > ANSWER_BYTES:
            last = child.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]
            raise CheckpointRefused(
                f"{file}: the process that read it ended with status {child.returncode} and no result: {last}"
            )
        answer = json.loads(answer_file.read_text())
    if "refused" in answer:
        raise CheckpointRefused(f"{file}: {answer['refused']}")
    result: dict[str, Any] = answer["result"]
    return result


def _manifest(
    kind: str, digests: Mapping[Path, str], *, name: str, task: str, answer: Mapping[str, Any], own: Mapping[str, str]
) -> Manifest:
    part, (file, *further) = Path(str(answer["folder"])), digests
    usual = str(answer.get("preparation", "clinical"))
    offered = [str(mode) for mode in answer.get("preparations", [usual])]
    evaluated = own["evaluated"].split(",") if "evaluated" in own else answer.get("evaluated", ())
    for mode in (own.get("preparation", usual), *(str(mode).strip() for mode in evaluated)):
        if mode not in offered:
            raise CheckpointRefused(f"{file}: preparation: {' or '.join(offered)} is expected, not {mode[:40]!r}")
    content = {
        "name": name,
        "version": own.get("version", "1"),
        "task": task,
        "title": own.get("title", str(answer.get("title", name)))[:64],
        "architecture": answer.get("architecture", {}),
        "config": answer.get("config", {}),
        "preparation": own.get("preparation", usual),
        "evaluated": [str(mode).strip() for mode in evaluated],
        "weights": [
            {"file": path.name, "sha256": sha256_of(path)} for path in sorted(part.iterdir()) if path.is_file()
        ],
        "input": answer.get("input", {}),
        "output": answer.get("output", []),
        # What the authors measured, they measured with their own preparation of frames.
        "metrics": answer.get("metrics", []) if own.get("preparation", usual) == usual else [],
        "source": {
            "kind": kind,
            "file": file.name,
            "sha256": digests[file],
            "licence": own.get("licence", "not stated"),
            "further": [f"{each.name} {digests[each]}" for each in further],
        },
        "trained_on": own.get("trained_on", answer.get("trained_on", "not stated")),
        "licence": own.get("licence", "not stated"),
    }
    if intended_use := own.get("intended_use", answer.get("intended_use")):
        content["intended_use"] = str(intended_use)
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in complaint["loc"])
        raise CheckpointRefused(f"{file}: {key}: {complaint['msg']}") from error


def _write_texts(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST_FILE).write_text(manifest_toml(manifest), encoding="utf-8")
    (folder / CARD_FILE).write_text(model_card(manifest), encoding="utf-8")
