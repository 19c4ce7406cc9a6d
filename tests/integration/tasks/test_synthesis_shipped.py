"""The shipped package `phantom-synthesis` from the command line: pictures of label maps that nothing was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from echonode.cli.main import execute

MODEL = "phantom-synthesis"
LARGEST, LARGEST_OF_ALL = 12 << 20, 30 << 20


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label maps of a simulated study at end-diastole, of a seed that nothing was trained on."""
    tree = tmp_path_factory.mktemp("maps") / "tree"
    data = ["--data", "phantom:2@9000007", "--test-data", "phantom:1@9000008"]
    assert execute(["data", "camus", *data, "--out", str(tree), "--side", "112"]) == 0
    return tree / "4CH_ED" / "sector_annotations" / "testing"


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L")).astype(np.float64)


def test_the_network_fits_into_the_checkout(checkout: Path) -> None:
    """A clone of the repository must stay small."""
    assert 0 < sum(file.stat().st_size for file in (checkout / "models" / MODEL).glob("*")) < LARGEST
    assert sum(file.stat().st_size for file in (checkout / "models").rglob("*")) < LARGEST_OF_ALL


def test_the_card_says_what_it_learned_from(checkout: Path) -> None:
    """Whoever opens the folder must read that no patient was seen, and how like the pictures are."""
    card = (checkout / "models" / MODEL / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in (
        "no patient",
        "phantom",
        "roughness of tissue",
        "myocardium",
        "60 simulated studies (seed 7002, routine)",
    ):
        assert words in card, words


@pytest.mark.slow
def test_the_heart_stands_where_its_map_has_it(checkout: Path, maps: Path, tmp_path: Path) -> None:
    """A picture that does not show its map teaches segmentation that walls are anywhere."""
    torch.set_num_threads(1)
    out, again = tmp_path / "made", tmp_path / "again"
    for folder, seed in ((out, "3"), (again, "4")):
        order = ["run", "synthesis", str(maps), "--model", str(checkout / "models" / MODEL), "--out", str(folder)]
        assert execute([*order, "--tree", "--seed", seed, "--json"]) == 0
    (source,) = maps.glob("*.png")
    codes, picture, other = read(source), read(out / "samples" / source.name), read(again / "samples" / source.name)
    levels = {code: float(picture[codes == code].mean()) for code in range(5)}
    assert levels[3] > 1.5 * levels[1], "muscle is brighter than blood"
    assert levels[0] < 5, "nothing is seen outside the sector"
    inside = codes > 0
    assert np.abs(picture - other)[inside].mean() > 4, "another seed is another picture"
