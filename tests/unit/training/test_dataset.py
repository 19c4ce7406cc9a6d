"""Splits by patient, frozen files, and what --data texts stand for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.core.errors import BadInput
from echonode.training.arguments import EvaluationArguments, TrainingArguments
from echonode.training.dataset import Candidate, DatasetManifest, Split, drawn, frozen, split_named, verify
from echonode.training.sources import DATASET_FILE, RUN_FILE, dataset_of, evaluation_data, study_of


def made(*items: Candidate, **changes: Any) -> DatasetManifest:
    return frozen(items, **{"name": "set", "source": "a test", "seed": 1, **changes})


def layout(path: Path) -> Iterator[Candidate]:
    for file in sorted(path.glob("*.txt")):
        yield Candidate(key=file.stem, patient=file.stem[:2], files=(file,), labels={"ef": 55.0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "site"
    place.mkdir()
    for patient in range(20):
        for loop in "ab":
            (place / f"{patient:02d}{loop}.txt").write_text(f"{patient}{loop}")
    return place


def asked(folder: Path, **changes: Any) -> TrainingArguments:
    return TrainingArguments(task="x", **{"data": (str(folder),), "out": folder.parent / "run", **changes})


def test_a_patient_is_never_on_both_sides(folder: Path) -> None:
    """An error on patients that were seen in training is no error at all."""
    manifest = dataset_of(asked(folder), name="set", layout=layout)
    patients = {split: {item.patient for item in items} for split, items in manifest.by_split().items()}
    assert all(patients.values())
    assert sum(map(len, patients.values())) == 20


def test_the_locked_test_is_nothing_that_a_model_learned_from(tmp_path: Path) -> None:
    """A card that names the test among what a model was trained on takes its own error back."""
    asked_for = TrainingArguments(
        task="x", data=("phantom:2@5",), test_data=("phantom:3@6",), out=tmp_path / "run"
    )  # fmt: skip
    manifest = dataset_of(asked_for, name="set")
    assert manifest.learned_from == "2 simulated studies (seed 5, routine)"
    assert (
        manifest.source == "2 simulated studies (seed 5, routine); locked test: 3 simulated studies (seed 6, routine)"
    )


def test_the_split_of_a_patient_stays_when_others_come() -> None:
    """Last year's locked patients must not be trained on this year."""
    few, many = drawn(map(str, range(200)), seed=3), drawn(map(str, range(400)), seed=3)
    assert all(many[patient] is split for patient, split in few.items())
    shares = [list(many.values()).count(split) / 400 for split in Split]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.05)
    assert drawn(map(str, range(200)), seed=4) != few


@pytest.mark.parametrize("seed", range(8))
def test_three_patients_are_enough_for_three_splits(seed: int) -> None:
    """A first try on a handful of loops must not end for want of a validation set."""
    assert set(drawn(["a", "b", "c"], seed=seed).values()) == set(Split)
    assert Split.TEST not in drawn(["a", "b", "c"], seed=seed, shares=(0.85, 0.15, 0.0)).values()


def test_the_splits_of_the_site_are_honoured() -> None:
    """Numbers on the published split of a public set are only comparable on that split."""
    manifest = made(
        Candidate(key="1", patient="a", split=split_named("VAL")), Candidate(key="2", patient="b", split=split_named("TRAIN")),
        Candidate(key="3", patient="a"),
    )  # fmt: skip
    assert [item.split for item in manifest.items] == [Split.VALIDATION, Split.TRAIN, Split.VALIDATION]


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ([], "nothing in it"),
        ([Candidate(key="1", patient="a"), Candidate(key="1", patient="b")], "'1' is there twice"),
        (
            [Candidate(key="1", patient="a", split=Split.TRAIN), Candidate(key="2", patient="a", split=Split.TEST)],
            "patient 'a' is in train and in test",
        ),
        ([Candidate(key="1", patient="a", files=(Path(__file__),))], "lies under none"),
    ],
)
def test_what_is_no_data_set_is_refused(items: list[Candidate], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        made(*items)


def test_a_manifest_reads_back_and_notices_a_hand(folder: Path, tmp_path: Path) -> None:
    """The card names the digest; whoever moves a patient to another split by hand is found out."""
    manifest = dataset_of(asked(folder), name="set", layout=layout)
    path = tmp_path / "dataset.json"
    manifest.save(path)
    assert DatasetManifest.load(path) == manifest
    content = json.loads(path.read_text())
    content["items"][0]["labels"]["ef"] = 20.0
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="was changed"):
        DatasetManifest.load(path)
    other = next(item for item in content["items"] if item["patient"] == "00" and item["key"].endswith("b"))
    other["split"] = "test" if other["split"] == "train" else "train"
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="one split alone"):
        DatasetManifest.load(path)


def test_the_same_files_elsewhere_are_the_same_data_set(folder: Path, tmp_path: Path) -> None:
    """A run can be moved to the machine with the GPU."""
    moved = tmp_path / "moved" / "site"
    moved.parent.mkdir()
    before = dataset_of(asked(folder), name="set", layout=layout)
    folder.rename(moved)
    assert dataset_of(asked(moved), name="set", layout=layout).digest == before.digest
    verify(before, moved)


@pytest.mark.parametrize(("change", "complaint"), [("other", "was changed"), (None, "is gone")])
def test_a_file_that_is_not_what_it_was_is_named(folder: Path, change: str | None, complaint: str) -> None:
    manifest = dataset_of(asked(folder), name="set", layout=layout)
    verify(manifest)
    file = folder / "07a.txt"
    file.unlink() if change is None else file.write_text(change)
    with pytest.raises(BadInput, match=rf"07a\.txt: {complaint}"):
        verify(manifest)


def test_test_data_is_locked_as_a_whole() -> None:
    """Two cohorts of the same patients, whatever their number and preset, are no test of each other."""
    arguments = TrainingArguments(
        task="x", data=("phantom:6@1/quick",), test_data=("phantom:3@2/quick",), out=Path("nowhere")
    )
    manifest = dataset_of(arguments, name="set")
    splits = {item.key: item.split for item in manifest.items}
    assert {key for key, split in splits.items() if split is Split.TEST} == {
        f"phantom@2/quick#{number:06d}" for number in range(3)
    }
    assert manifest.simulated
    assert manifest.source == "6 simulated studies (seed 1, quick); locked test: 3 simulated studies (seed 2, quick)"
    with pytest.raises(BadInput, match="in --data and in --test-data"):
        dataset_of(
            TrainingArguments(task="x", data=("phantom:6@1",), test_data=("phantom:2@1/stress",), out=Path("nowhere")),
            name="set",
        )


def test_a_phantom_item_leads_to_its_study() -> None:
    """The recipe gets the same simulated patient that the manifest names."""
    manifest = dataset_of(TrainingArguments(task="x", data=("phantom:4@9/quick",), out=Path("nowhere")), name="set")
    item = manifest.items[2]
    assert item.phantom == ("phantom:4@9/quick", 2)
    assert (study_of(item.phantom).seed, study_of(item.phantom).index) == (9, 2)


def test_an_evaluation_takes_everything_or_the_test_split_of_the_site(folder: Path) -> None:
    """An error over the site's own training patients would flatter."""
    arguments = EvaluationArguments(task="x", packages=(), data=(str(folder),))
    assert len(evaluation_data(arguments, name="set", layout=layout).by_split()[Split.TEST]) == 40

    def listed(path: Path) -> Iterator[Candidate]:
        for each in layout(path):
            yield Candidate(key=each.key, patient=each.patient, split=Split.TEST if each.key < "05" else Split.TRAIN)

    assert len(evaluation_data(arguments, name="set", layout=listed).items) == 10


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"data": ("nowhere-at-all",)}, "no such file or folder"),
        ({"data": ("phantom:3@x",)}, "phantom:COUNT@SEED"),
    ],
)
def test_a_wrong_text_is_one_line(folder: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        dataset_of(asked(folder, **changes), name="set", layout=layout)


def test_a_folder_that_holds_a_run_is_refused_before_anything_is_hashed(folder: Path) -> None:
    arguments = asked(folder)
    arguments.out.mkdir()
    # A kill before the run was written down leaves the data set alone: that is no run.
    dataset_of(arguments, name="set", layout=layout).save(arguments.out / DATASET_FILE)
    dataset_of(arguments, name="set", layout=layout)
    (arguments.out / RUN_FILE).write_text("{}")
    with pytest.raises(BadInput, match="holds a run already"):
        dataset_of(arguments, name="set", layout=layout)
