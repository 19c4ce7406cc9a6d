"""The tree that diffusion learns from, and the data set that segmentation learns from: codes, splits, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from echonode.core.errors import BadInput
from echonode.tasks.common.camus import VIEWS, sector_codes, spacings_of
from echonode.tasks.segmentation.dataset import clip_of, simulated_codes
from echonode.tasks.segmentation.prepare import pixel_area_cm2
from echonode.tasks.segmentation.tree import Labelled, Order, changed, collect, write_tree
from echonode.training.sources import cohort_of


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tree") / "tree"
    write_tree(Order(data=("phantom:4@71",), test_data=("phantom:1@72",), out=out, side=64, repeats=1))
    return out


def test_every_picture_has_its_codes_in_both_spellings(tree: Path) -> None:
    """A label in the other spelling is another structure, and nothing in the files would tell."""
    found = sorted(tree.glob("*/images/*/*.png"))
    assert {path.parents[2].name for path in found} == set(VIEWS)
    for picture in found:
        split, folder = picture.parent.name, picture.parents[2]
        codes = read(folder / "annotations" / split / picture.name)
        sector = read(folder / "sector_annotations" / split / picture.name)
        assert codes.max() <= 3
        assert sector.max() <= 4
        inside = sector > 0
        assert np.array_equal(sector_codes(np.where(inside, codes, 0), inside), sector)
        assert (codes == 1).sum() > 40
        assert read(picture)[~inside].max() <= 8


def test_systole_is_smaller_than_diastole(tree: Path) -> None:
    """Phases the wrong way round would teach the network the wrong hearts under the right names."""
    for diastole in tree.glob("4CH_ED/annotations/*/*.png"):
        systole = tree / "4CH_ES" / "annotations" / diastole.parent.name / diastole.name.replace("_ED", "_ES")
        assert (read(systole) == 1).sum() < (read(diastole) == 1).sum()


def test_patients_of_the_test_are_in_no_other_split_and_are_not_changed(tree: Path) -> None:
    """A test on patients that were learned from proves nothing."""
    by_split = {
        split: {path.name.partition("_")[0] for path in tree.glob(f"*/images/{split}/*.png")}
        for split in ("training", "validation", "testing")
    }
    assert by_split["testing"]
    assert not by_split["testing"] & (by_split["training"] | by_split["validation"])
    assert not by_split["training"] & by_split["validation"]
    changed_maps = list(tree.glob("*/augmented_sector_annotations/*/*.png"))
    assert changed_maps
    assert not [path for path in changed_maps if path.parent.name == "testing"]
    assert json.loads((tree / "tree.json").read_text())["simulated"] is True


def test_a_changed_map_stays_in_its_sector() -> None:
    """A heart outside what the transducer sees would teach that there is one."""
    side = 64
    rows, columns = np.mgrid[:side, :side]
    codes = np.where((rows - 32) ** 2 + (columns - 32) ** 2 < 200, 1, 0).astype(np.uint8)
    labelled = Labelled(
        name="patient1_4CH_ED", view="4CH_ED", picture=codes, codes=codes, sector=np.abs(columns - 32) < rows
    )
    chance = np.random.default_rng(0)
    others = [changed(labelled, number, chance, preparation="clinical") for number in range(5)]
    assert len({other.codes.tobytes() for other in others}) == 5
    for other in others:
        assert (other.sector_codes[~labelled.sector] == 0).all()
        assert 0.4 < (other.codes == 1).sum() / (codes == 1).sum() < 1.3


@pytest.mark.parametrize("preparation", ["clinical", "published"])
def test_a_heart_on_the_tree_is_as_large_as_it_was(preparation: str, tmp_path: Path) -> None:
    """Distances in millimetres from pictures of another scale would be wrong, and look right."""
    order = Order(
        data=("phantom:4@71",), test_data=("phantom:1@72",), out=tmp_path / "tree", side=128, preparation=preparation
    )
    write_tree(order)
    (picture,) = tmp_path.glob("tree/4CH_ED/annotations/testing/*.png")
    row, column = spacings_of(tmp_path / "tree")[picture.stem]
    (plan,) = (
        each
        for each in cohort_of("phantom:1@72")[0].loops
        if each.view.value == "A4C" and each.stage is None and not each.colour
    )
    made = plan.acquire(frames=8, frame_time_ms=7500 / plan.patient.heart_rate_bpm)
    assert made.labels is not None
    pixel = pixel_area_cm2(clip_of(made).regions, made.labels.shape[1:])
    assert pixel is not None
    largest = max((simulated_codes(labels) == 1).sum() for labels in made.labels)
    assert (read(picture) == 1).sum() * row * column / 100 == pytest.approx(largest * pixel, rel=0.04)


@pytest.mark.parametrize(("size", "told"), [("0", "0"), ("1e308", r"1e\+308"), ("NaN", "nan")])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: str, told: str) -> None:
    """A distance of nought, or endless, would stand in a table as a measurement."""
    (tmp_path / "spacing.json").write_text(f'{{"patient0001_4CH_ED": [0.5, {size}]}}')
    with pytest.raises(BadInput, match=rf"patient0001_4CH_ED: a pixel of 0\.5 x {told} mm"):
        spacings_of(tmp_path)


def sampled(folder: Path, source: Path, *, name: str | None = None, said: str | None = None) -> Path:
    """What diffusion writes of a label map: a picture under `name` that says how it was made, and the map."""
    text = PngImagePlugin.PngInfo()
    text.add_text("echonode", json.dumps({"simulated": True, "map": source.name}) if said is None else said)
    for part, pixels in (("samples", np.full((64, 64, 3), 90, np.uint8)), ("labels", read(source))):
        (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / part / (name or source.name), pnginfo=text)
    return folder / "samples" / (name or source.name)


def a_map(tree: Path, split: str) -> Path:
    return min((tree / "4CH_ED/sector_annotations" / split).glob("*.png"))


def test_synthetic_pictures_become_a_data_set_with_the_codes_of_segmentation(tree: Path, tmp_path: Path) -> None:
    """The authors' script forgets to convert: the atrium then is no class, and muscle is atrium."""
    source, made = a_map(tree, "training"), tmp_path / "made"
    sampled(made, source)
    sampled(made, a_map(tree, "validation"))
    counts = collect(made, tree=tree, out=tmp_path / "set")
    assert counts == {"training": 1, "validation": 1, "testing": 4}
    codes = read(tmp_path / "set" / "annotations" / "training" / source.name)
    assert np.array_equal(codes, read(tree / "4CH_ED/annotations/training" / source.name) * (read(source) > 0))
    assert json.loads((tmp_path / "set" / "tree.json").read_text())["simulated"] is True
    tested = {each.stem for each in (tmp_path / "set/images/testing").iterdir()}
    assert spacings_of(tmp_path / "set") == {name: size for name, size in spacings_of(tree).items() if name in tested}


def test_each_of_several_pictures_of_a_map_goes_where_its_patient_belongs(tree: Path, tmp_path: Path) -> None:
    """Weights would be chosen by patients that were learned from, or by nobody."""
    made = tmp_path / "made"
    for split in ("training", "validation"):
        source = a_map(tree, split)
        for further in ("0", "1", "gt"):
            sampled(made, source, name=f"{source.stem}_{further}.png")
    assert collect(made, tree=tree, out=tmp_path / "set") == {"training": 3, "validation": 3, "testing": 4}


def test_synthetic_pictures_that_cannot_be_taken_are_named_before_anything_is_written(
    tree: Path, tmp_path: Path
) -> None:
    """Half a data set in a folder that then must be removed by hand, or a test on outlines that were learned."""
    made, out = tmp_path / "made", tmp_path / "set"

    def refused(match: str) -> None:
        with pytest.raises(BadInput, match=match):
            collect(made, tree=tree, out=out)
        assert not out.exists()

    picture = sampled(made / "4CH_ED", a_map(tree, "training"))
    refused("of a label map of .* validation")
    sampled(made / "4CH_ED", a_map(tree, "validation"))
    for said in ("[]", "{nope"):
        sampled(made / "4CH_ED", a_map(tree, "training"), said=said)
        refused(f"{picture}: does not tell how it was made")
    sampled(made / "4CH_ED", a_map(tree, "training"))
    of_the_test = sampled(made / "4CH_ED", a_map(tree, "testing"), name=f"{a_map(tree, 'testing').stem}_gt.png")
    refused(f"{of_the_test}: was made of a label map of {of_the_test.name.partition('_')[0]}, on whom ")
    of_the_test.unlink()
    sampled(made / "again", a_map(tree, "training"))
    refused("one would overwrite the other")
    (made / "again" / "samples" / picture.name).unlink()
    codes = made / "4CH_ED" / "labels" / picture.name
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(codes)
    refused(f"{codes}: label 9 is none")
    Image.fromarray(np.ones((32, 32), np.uint8)).save(codes)
    refused("not of the size of its label map")
    codes.write_bytes(b"no picture")
    refused(f"{codes}: is no picture")
    picture.write_bytes(picture.read_bytes()[:100])
    refused(f"{picture}: ")


def test_what_has_something_in_it_is_not_written_into(tree: Path) -> None:
    """Two data sets in one folder cannot be told apart afterwards."""
    with pytest.raises(BadInput, match="is not empty"):
        write_tree(Order(data=("phantom:3@71",), out=tree))
    with pytest.raises(BadInput, match="is not empty"):
        collect(tree, tree=tree, out=tree)
