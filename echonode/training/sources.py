"""What `--data` texts stand for: phantom cohorts, folders and lists of a site, and objects of the node's archive."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from echonode.core.errors import BadInput
from echonode.training.arguments import EvaluationArguments, TrainingArguments
from echonode.training.dataset import LOCKED_TEST, Candidate, DatasetManifest, Split, frozen, verify

if TYPE_CHECKING:
    from echonode.phantom.cohort import Cohort, Study

PHANTOM, ARCHIVE = "phantom:", "archive:"
RUN_FILE, DATASET_FILE = "run.json", "dataset.json"
Layout = Callable[[Path], Iterable[Candidate]]


def dataset_of(arguments: TrainingArguments, *, name: str, layout: Layout | None = None) -> DatasetManifest:
    """The frozen data set of a training run; with --resume the one that the run began with, its files verified.

    `layout` reads a folder or file of the site's into candidates, with absolute or relative paths as found; a recipe
    without one takes phantom cohorts alone. What --test-data names is the test split as a whole, and what --data names
    is then split into train and validation.

    Raises:
        BadInput: a text that is not understood, a layout that is not this recipe's, a patient on both sides.
    """
    kept = arguments.out / DATASET_FILE
    if arguments.resume and kept.is_file():
        manifest = DatasetManifest.load(kept)
        verify(manifest)
        return manifest
    if (arguments.out / RUN_FILE).is_file():
        raise BadInput(f"{arguments.out}: holds a run already; --resume goes on with it, --out names another folder")
    places = _places((*arguments.data, *arguments.test_data), arguments.out)
    found = _candidates(arguments.data, places, layout)
    locked = [replace(each, split=Split.TEST) for each in _candidates(arguments.test_data, places, layout)]
    both = {each.patient for each in found} & {each.patient for each in locked}
    if both:
        raise BadInput(f"patient {min(both)!r} is in --data and in --test-data; the test must be of other patients")
    if locked and any(each.split is Split.TEST for each in found):
        found = [each for each in found if each.split is not Split.TEST]
    words = "; ".join(described(text) for text in arguments.data)
    if arguments.test_data:
        words += LOCKED_TEST + "; ".join(described(text) for text in arguments.test_data)
    return frozen(
        [*found, *locked], name=name, source=words, seed=arguments.seed,
        roots=_roots(places),
        shares=(0.85, 0.15, 0.0) if locked else (0.70, 0.15, 0.15),
    )  # fmt: skip


def evaluation_data(arguments: EvaluationArguments, *, name: str, layout: Layout | None = None) -> DatasetManifest:
    """The data set of an evaluation: everything that the texts name; all of it is test, but for a site's own splits,
    of which the test split is kept alone.

    Raises:
        BadInput: as `dataset_of`.
    """
    places = _places(arguments.data, arguments.scratch)
    found = _candidates(arguments.data, places, layout)
    if any(each.split is Split.TEST for each in found):
        found = [each for each in found if each.split in (Split.TEST, None)]
    whole = [replace(each, split=Split.TEST) for each in found]
    words = "; ".join(described(text) for text in arguments.data)
    return frozen(whole, name=name, source=words, seed=arguments.seed, roots=_roots(places))


def cohort_of(text: str) -> Cohort:
    """The cohort that "phantom:N@SEED/preset" names.

    Raises:
        BadInput: it names none.
    """
    from echonode.phantom.cohort import Cohort

    return Cohort.parse(text)


def study_of(phantom: tuple[str, int]) -> Study:
    """The simulated study of an item (`item.phantom`); loops are made when its plans are asked for them."""
    text, number = phantom
    return cohort_of(text)[number]


def described(text: str) -> str:
    """A data text in words, without the folders of this machine."""
    if text.startswith(PHANTOM):
        cohort = cohort_of(text)
        return f"{len(cohort)} simulated studies (seed {cohort.seed}, {cohort.preset})"
    if text.startswith(ARCHIVE):
        return f"objects of the node's archive ({text.removeprefix(ARCHIVE)})"
    return Path(text).resolve().name


def _places(texts: Sequence[str], out: Path | None) -> dict[str, Path]:
    """Where the files of each text lie, but for phantom cohorts; what the archive is asked for is copied to `out`."""
    places: dict[str, Path] = {}
    key = secrets.token_bytes(32)
    for number, text in enumerate(dict.fromkeys(texts)):
        if text.startswith(PHANTOM):
            continue
        if text.startswith(ARCHIVE):
            if out is None or os.environ.get("WORLD_SIZE", "1") != "1":
                raise BadInput(f"--data {text}: the archive is read by one process; begin without torchrun")
            places[text] = out / f"archive-{number}"
            _exported(text.removeprefix(ARCHIVE), places[text], key)
        elif not Path(text).exists():
            raise BadInput(f"--data {text}: no such file or folder")
        else:
            places[text] = Path(text)
    return places


def _exported(query: str, folder: Path, key: bytes) -> None:
    """Copy the pictures of the node on this machine: the one of ECHONODE_CONFIG, or of ae_config in this folder."""
    from echonode.archive.archive import Archive
    from echonode.archive.blobs import LocalBlobs
    from echonode.core.configuration import load_configuration
    from echonode.training.export import export

    # What a kill left of an earlier copy has other names for the same patients: they must not be mixed.
    shutil.rmtree(folder, ignore_errors=True)
    configuration = load_configuration(Path(os.environ.get("ECHONODE_CONFIG", "ae_config")))
    archive = Archive.open(configuration.database_url, blobs=LocalBlobs(configuration.root))
    try:
        export(archive, query, folder, key=key)
    finally:
        archive.close()


def _candidates(texts: Sequence[str], places: Mapping[str, Path], layout: Layout | None) -> list[Candidate]:
    found: list[Candidate] = []
    for text in texts:
        if text.startswith(PHANTOM):
            found += _phantom(text)
        elif layout is None:
            raise BadInput(f"--data {text}: this recipe learns from phantom cohorts alone: phantom:N@SEED")
        else:
            each = list(layout(places[text]))
            if not each:
                raise BadInput(f"--data {text}: nothing in it that this recipe can learn from")
            found += each
    return found


def _phantom(text: str) -> Iterable[Candidate]:
    cohort = cohort_of(text)
    for number in range(len(cohort)):
        # The same seed and number is the same patient, whatever the preset and the size of the cohort.
        yield Candidate(
            key=f"phantom@{cohort.seed}/{cohort.preset}#{number:06d}",
            patient=f"phantom@{cohort.seed}#{number}",
            phantom=(str(cohort), number),
        )


def _roots(places: Mapping[str, Path]) -> list[Path]:
    """The folders that files are named relative to."""
    return list(dict.fromkeys(place if place.is_dir() else place.parent for place in places.values()))
