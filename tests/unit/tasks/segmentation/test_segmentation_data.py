"""What segmentation learns from: a file read askew, or a patient on both sides, would spoil every number after it."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from echonode.core.errors import BadInput
from echonode.phantom.tissue import Label
from echonode.tasks.segmentation import augment
from echonode.tasks.segmentation.dataset import (
    Cache,
    Prepared,
    layout,
    load,
    load_with_loop,
    read_labelled,
    simulated_codes,
)
from echonode.tasks.segmentation.pictures import files_of, read_pictures
from echonode.tasks.segmentation.prepare import with_loop
from echonode.training.dataset import DatasetManifest, Split, frozen

ROWS, COLUMNS = 48, 64


def picture(seed: int = 0) -> Any:
    """A lit sector in the dark."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    lit = np.abs(x - COLUMNS / 2) < 4 + y * 0.6
    return np.where(lit, np.random.default_rng(seed).integers(40, 200, (ROWS, COLUMNS)), 0).astype(np.uint8)


def truth() -> Any:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[14:40, 24:42], labels[16:38, 27:39], labels[40:46, 27:39] = 2, 1, 3
    return labels


def write_mhd(path: Path, values: Any, *, spacing: tuple[float, float] = (0.3, 0.15), compressed: bool = False) -> None:
    kind = {"uint8": "MET_UCHAR", "int16": "MET_SHORT"}[values.dtype.name]
    raw = path.with_suffix(".zraw" if compressed else ".raw")
    raw.write_bytes(zlib.compress(values.tobytes()) if compressed else values.tobytes())
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = {values.shape[1]} {values.shape[0]} 1\nElementType = {kind}\n"
        f"ElementSpacing = {spacing[0]} {spacing[1]} 1\nCompressedData = {compressed}\nElementByteOrderMSB = False\n"
        f"ElementDataFile = {raw.name}\n"
    )


def write_nifti(path: Path, values: Any, *, spacing: tuple[float, float] = (0.3, 0.15), order: str = "<") -> None:
    """As CAMUS has it: the first axis, which runs fastest, is the column."""
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, 2, values.shape[1], values.shape[0], 1, 1, 1, 1, 1)
    struct.pack_into(f"{order}h", header, 70, 2)
    struct.pack_into(f"{order}8f", header, 76, 1, spacing[0], spacing[1], 1, 1, 1, 1, 1)
    struct.pack_into(f"{order}f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + values.tobytes()))


def camus(folder: Path, *, nifti: bool, patients: int = 4) -> None:
    for number in range(1, patients + 1):
        place = folder / f"patient{number:04d}"
        place.mkdir(parents=True)
        for view in ("4CH", "2CH"):
            for phase in ("ED", "ES"):
                for ending, values in (("", picture(number)), ("_gt", truth())):
                    name = f"{place.name}_{view}_{phase}{ending}"
                    if nifti:
                        write_nifti(place / f"{name}.nii.gz", values)
                    else:
                        write_mhd(place / f"{name}.mhd", values)


def manifest(folder: Path) -> DatasetManifest:
    return frozen(layout(folder), name="camus", source="CAMUS", seed=0, roots=[folder])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_meta_image_is_read_with_its_pixel_size(tmp_path: Path, compressed: bool) -> None:
    write_mhd(tmp_path / "a.mhd", picture().astype(np.int16), compressed=compressed)
    found = read_pictures(tmp_path / "a.mhd")
    assert (found.values[0] == picture()).all()
    assert found.spacing_mm == (0.15, 0.3), "rows first"
    assert [file.name for file in files_of(tmp_path / "a.mhd")] == ["a.mhd", "a.zraw" if compressed else "a.raw"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_nifti_stands_upright(tmp_path: Path, order: str) -> None:
    write_nifti(tmp_path / "a.nii.gz", picture(), order=order)
    found = read_pictures(tmp_path / "a.nii.gz")
    assert (found.values[0] == picture()).all()
    assert found.spacing_mm == pytest.approx((0.15, 0.3))


@pytest.mark.parametrize(
    "damage",
    [b"", b"not a file of any kind", gzip.compress(b"x" * 100, mtime=0), gzip.compress(b"\0" * 400, mtime=0)],
    ids=["empty", "text", "zipped text", "zipped nothing"],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, damage: bytes) -> None:
    for name in ("a.nii.gz", "a.png", "a.mhd"):
        (tmp_path / name).write_bytes(damage)
        with pytest.raises(BadInput, match="cannot be read"):
            read_pictures(tmp_path / name)


def test_a_meta_image_cannot_reach_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.raw").write_bytes(picture().tobytes())
    write_mhd(tmp_path / "data" / "a.mhd", picture())
    text = (tmp_path / "data" / "a.mhd").read_text().replace("a.raw", "../secret.raw")
    (tmp_path / "data" / "a.mhd").write_text(text)
    with pytest.raises(BadInput):
        read_pictures(tmp_path / "data" / "a.mhd")


@pytest.mark.parametrize("nifti", [False, True])
def test_camus_is_read_in_both_forms_and_split_by_patient(tmp_path: Path, nifti: bool) -> None:
    camus(tmp_path, nifti=nifti)
    found = manifest(tmp_path)
    assert len(found.items) == 16
    assert {item.labels["view"] for item in found.items} == {"A4C", "A2C"}
    item = found.items[0]
    shown, codes, spacing, _ = read_labelled(item, found.paths(item))
    assert (shown == picture(1)).all()
    assert (codes == truth()).all()
    assert spacing == pytest.approx((0.15, 0.3))


def test_the_lists_of_camus_decide_the_split(tmp_path: Path) -> None:
    camus(tmp_path, nifti=True, patients=3)
    for name, patient in (("training", "patient0002"), ("validation", "patient0001"), ("testing", "patient0003")):
        (tmp_path / f"subgroup_{name}.txt").write_text(f"{patient}\n")
    splits = {item.patient: item.split for item in manifest(tmp_path).items}
    assert splits == {
        "camus/patient0001": Split.VALIDATION, "camus/patient0002": Split.TRAIN, "camus/patient0003": Split.TEST,
    }  # fmt: skip


def test_pictures_beside_label_maps_are_found_with_their_splits(tmp_path: Path) -> None:
    for split in ("training", "validation", "testing"):
        for name, values in (("images", picture()), ("annotations", truth())):
            folder = tmp_path / "4CH_ED" / name / split
            folder.mkdir(parents=True)
            Image.fromarray(values).save(folder / f"patient{len(split)}_4CH_ED_{split}.png")
    found = manifest(tmp_path)
    assert {item.split for item in found.items} == set(Split)
    assert {(item.labels["view"], item.labels["phase"]) for item in found.items} == {("A4C", "ED")}
    (tmp_path / "4CH_ED" / "annotations" / "testing" / "patient7_4CH_ED_testing.png").unlink()
    with pytest.raises(BadInput, match="no label map"):
        manifest(tmp_path)


@pytest.mark.parametrize("preparation", ["clinical", "published"])
def test_prepared_labels_lie_where_the_picture_is(tmp_path: Path, preparation: str) -> None:
    camus(tmp_path / "data", nifti=False, patients=3)
    data = manifest(tmp_path / "data")
    prepared = Prepared(side=64, preparation=preparation)
    samples = Cache(tmp_path / "cache", data, prepared).samples(data.items)
    assert len(samples) == 12
    shown, labels = load(samples[0])
    assert shown.shape == (64, 64)
    assert len(labels) == 64 * prepared.finer
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    covered = augment.shares(labels, 64)
    assert covered.sum(axis=0, dtype=int).min() >= 250, "every pixel is something"
    channels, _ = load_with_loop(samples[0], frames=6)
    assert (channels[..., 1] == shown).all(), "a still is its own mean"
    assert not channels[..., 2].any()
    before = samples[0].path.stat().st_mtime_ns
    Cache(tmp_path / "cache", data, prepared).samples(data.items)
    assert samples[0].path.stat().st_mtime_ns == before, "what is there is not made again"


def test_leaflets_and_papillary_muscles_belong_to_the_cavity_that_they_are_in() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[5:25, 5:25], labels[5:25, 35:55], labels[26:38, 5:25] = Label.LV, Label.RV, Label.LA
    labels[20:24, 10:12], labels[20:24, 45:47], labels[8:12, 10:14] = Label.VALVE, Label.VALVE, Label.PAPILLARY
    codes = simulated_codes(labels)
    assert (codes[5:25, 5:25] == 1).all()
    assert not codes[:, 30:].any(), "the tricuspid valve is nobody's"
    assert (codes[26:38, 5:25] == 3).all()


@pytest.mark.parametrize("change", [augment.sound, augment.published])
def test_a_picture_and_its_labels_move_together(change: Any) -> None:
    shown = np.where(np.kron(truth(), np.ones((1, 1), np.uint8)) == 1, 230, 60).astype(np.uint8)[:48, :48]
    labels = np.kron((shown > 150).astype(np.uint8), np.ones((2, 2), np.uint8))
    scores = []
    for seed in range(12):
        moved, codes = change(shown, labels, np.random.default_rng(seed))
        found = moved > (float(moved.max()) + float(np.median(moved[moved > 0]))) / 2
        wanted = augment.shares(codes, 48)[1] > 127
        scores.append(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))
    assert np.median(scores) > 0.9


def test_the_same_chance_gives_the_same_picture() -> None:
    channels = with_loop(np.stack([picture(), picture(1)])[:, :, :ROWS])
    first = augment.sound(channels[0], truth()[:, :ROWS], np.random.default_rng(5))
    again = augment.sound(channels[0], truth()[:, :ROWS], np.random.default_rng(5))
    assert (first[0] == again[0]).all()
    assert first[0].shape == (ROWS, ROWS, 3)
