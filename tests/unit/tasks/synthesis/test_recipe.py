"""`echonode train synthesis` in small: it learns, it resumes to the bit, and what it publishes makes pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, SourceIdentity
from echonode.core.errors import BadInput, PackageInvalid
from echonode.core.results import Picture
from echonode.registry.verify import verify
from echonode.tasks.common.reading import silent
from echonode.tasks.segmentation.tree import Order, write_tree
from echonode.tasks.synthesis.evaluation import evaluate
from echonode.tasks.synthesis.prepare import conditioned, folded, unfolded
from echonode.tasks.synthesis.runner import open_runner
from echonode.tasks.synthesis.train import Options, main
from echonode.training.arguments import EvaluationArguments, TrainingArguments

SMALL = {"side": "32", "model_channels": "32", "label_width": "8", "channel_mult": "1,1", "attention": "8"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthesis") / "tree"
    write_tree(Order(data=("phantom:4@71",), out=out, side=32))
    return out


def arguments(tree: Path, out: Path, **further: object) -> TrainingArguments:
    options = {**SMALL, "validate_every": "2"}
    given = {"steps": 4, "batch": 2, "options": options} | further
    return TrainingArguments(task="synthesis", data=(str(tree),), out=out, device="cpu", threads=1, **given)  # type: ignore[arg-type]


def test_a_package_comes_out_that_makes_the_same_picture_each_time(tree: Path, tmp_path: Path) -> None:
    """A synthetic picture that cannot be made again is no evidence of anything."""
    result = main(arguments(tree, tmp_path / "run", name="small", models=tmp_path / "models"))
    assert result.package is not None
    package = verify(result.package)
    assert package.simulated
    assert "simulated studies" in package.trained_on
    card = (result.package / "MODEL_CARD.md").read_text()
    assert "roughness of tissue, synthetic over original" in card
    assert "myocardium" in card
    runner = open_runner(package, "cpu", 1)
    frames = np.zeros((1, 40, 40, 1), np.uint8)
    frames[0, 10:30, 10:30] = 1
    clip = Clip(frames=frames, times_ms=np.zeros(1), source=SourceIdentity(name="patient1_4CH_ED.png"))
    asked = {"steps": 2, "marked": False, "seed": 5}
    (first,), (second,) = (runner.run([clip], [asked], silent)[0][:1] for _ in range(2))
    assert isinstance(first, Picture)
    assert isinstance(second, Picture)
    assert first.synthetic
    assert first.pixels.shape == (32, 32, 3)
    assert np.array_equal(first.pixels, second.pixels)


def test_its_evaluation_tells_a_network_that_learned_nothing(tree: Path, tmp_path: Path) -> None:
    """Noise or nothing in the place of speckle must not look like a good model in the table."""
    result = main(arguments(tree, tmp_path / "run", name="small", models=tmp_path / "models"))
    assert result.package is not None
    asked = EvaluationArguments(
        task="synthesis", packages=(verify(result.package),), data=(str(tree),), figures=tmp_path / "figures",
        device="cpu", threads=1, options={"pictures": "3", "steps": "2"},
    )  # fmt: skip
    found = evaluate(asked)
    values = {metric.name: metric.value for metric in found.metrics["small"]}
    assert not 0.7 < values["roughness of tissue, synthetic over original"] < 1.4
    assert values["seconds an image"] > 0
    (table,) = found.tables.values()
    assert [row[0] for row in table.rows][:2] == ["cavity", "other tissue"]
    assert found.figures[0].stat().st_size > 1000


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(tree: Path, tmp_path: Path) -> None:
    """A night's training that ends with other weights than it would have is not the run that its card names."""
    main(arguments(tree, tmp_path / "whole"))
    main(arguments(tree, tmp_path / "parts", minutes=1e-9))  # saved after no step at all
    main(arguments(tree, tmp_path / "parts", resume=True))
    kept = [torch.load(tmp_path / name / "last.pt", weights_only=True)["state"] for name in ("whole", "parts")]
    for name, tensor in kept[0]["average"]["average"].items():
        assert torch.equal(tensor, kept[1]["average"]["average"][name]), name


def test_folding_and_telling_lose_nothing() -> None:
    """A network that sees half of the pixels, or another view's plane, learns another thing."""
    picture = torch.arange(2 * 1 * 8 * 8, dtype=torch.float32).reshape(2, 1, 8, 8)
    assert torch.equal(unfolded(folded(picture, 2), 2), picture)
    told = conditioned(torch.zeros(2, 5, 4, 4), ["4CH_ES", None], ("4CH_ED", "4CH_ES"))
    assert told.shape == (2, 7, 4, 4)
    assert told[0, 6].eq(1).all()
    assert told[0, 5].eq(0).all()
    assert told[1].eq(0).all()


def test_a_manifest_that_contradicts_its_network_is_refused(tree: Path, tmp_path: Path) -> None:
    """Label planes in another order would give pictures of nothing, without a word."""
    result = main(arguments(tree, tmp_path / "run", name="small", models=tmp_path / "models"))
    assert result.package is not None
    manifest = result.package / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("patch = 2", "patch = 1"))
    with pytest.raises(PackageInvalid, match="label channels"):
        open_runner(verify(result.package), "cpu", 1)


def test_the_authors_hyper_parameters_stand_behind_published() -> None:
    """Who asks for the paper's network must get it."""
    from echonode.tasks.synthesis.net import UnetConfig, config_of
    from echonode.tasks.synthesis.train import PUBLISHED

    assert config_of(PUBLISHED.network) == UnetConfig(channel_mult=(1, 1, 2, 2, 4, 4))
    assert (PUBLISHED.rate, PUBLISHED.average, PUBLISHED.drop) == (1e-4, 0.9999, 0.0)


def test_a_view_that_there_is_not_and_a_folder_that_is_no_tree_are_refused(tmp_path: Path) -> None:
    """A typing error must not start a night of training."""
    with pytest.raises(ValueError, match="4CH_ED"):
        Options(views=("4CH",))
    with pytest.raises(BadInput, match="a tree that"):
        main(arguments(tmp_path, tmp_path / "run"))
