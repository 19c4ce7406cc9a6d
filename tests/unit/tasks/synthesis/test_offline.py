"""Folders of label maps: shards, interruption, seeds, what is refused, and what people see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from echonode.core.clip import Clip, SourceIdentity
from echonode.core.errors import BadInput
from echonode.core.results import Ineligible, Picture
from echonode.core.view_codes import VIEWS
from echonode.tasks.common.sector_rule import label_map
from echonode.tasks.synthesis.marking import marked
from echonode.tasks.synthesis.net import SdmUnet
from echonode.tasks.synthesis.offline import sampled_files
from echonode.tasks.synthesis.runner import SynthesisRunner
from echonode.tasks.synthesis.samplers import Walk

STEPS = {"steps": 2}


@pytest.fixture
def runner(small_net: SdmUnet) -> SynthesisRunner:
    return SynthesisRunner(
        network=small_net, device=torch.device("cpu"), usual=Walk(), guided=False, view="4CH_ED", model="m1"
    )


@pytest.fixture
def maps(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "maps" / f"patient{n:04d}_4CH_ED_training.v1.png" for n in range(4)]
    files[0].parent.mkdir()
    for seed, file in enumerate(files):
        Image.fromarray(label_map(40, 36, seed).astype(np.uint8)).save(file)
    return files


def _silent(done: int, total: int) -> None:
    pass


def _made(runner: SynthesisRunner, parameters: dict[str, Any] | None = None, **order: Any) -> list[dict[str, Any]]:
    order["files"] = tuple(order["files"])
    return list(sampled_files(runner, order, parameters or STEPS, _silent))


def test_shards_make_together_what_one_run_makes(runner: SynthesisRunner, maps: list[Path], tmp_path: Path) -> None:
    whole = _made(runner, files=maps, out=tmp_path / "whole", tree=True)
    parts = [_made(runner, files=maps[::-1], out=tmp_path / "parts", tree=True, shard=n, shards=3) for n in range(3)]
    assert sorted(len(part) for part in parts) == [1, 1, 2]
    for document in whole:
        name = Path(document["picture"]).name
        for folder in ("samples", "labels", "combined"):
            one, other = (tmp_path / where / folder / name for where in ("whole", "parts"))
            assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def test_a_stopped_run_goes_on_where_it_was(runner: SynthesisRunner, maps: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = sampled_files(runner, {"files": tuple(maps), "out": out, "tree": True}, STEPS, _silent)
    next(first)
    next(first)
    first.close()
    (out / "samples" / ".half.png.1.part").write_bytes(b"cut off")
    states = [document["state"] for document in _made(runner, files=maps, out=out, tree=True)]
    assert states == ["kept", "kept", "made", "made"]


def test_a_folder_of_another_model_or_seed_is_not_mixed(
    runner: SynthesisRunner, maps: list[Path], tmp_path: Path
) -> None:
    _made(runner, files=maps[:1], out=tmp_path / "out", tree=True)
    (again,) = _made(runner, files=maps[:1], out=tmp_path / "out", tree=True, seed=1)
    assert "made otherwise" in again["refused"]["reason"]


def test_training_pictures_are_plain_and_say_what_they_are(
    runner: SynthesisRunner, maps: list[Path], tmp_path: Path
) -> None:
    (document,) = _made(runner, files=maps[:1], out=tmp_path / "tree", tree=True)
    (plain,) = runner.sampled(
        [np.asarray(Image.open(maps[0]))], seeds=[document["seed"]], asked=runner.walk_of(STEPS), progress=_silent
    )
    with Image.open(document["picture"]) as image:
        assert np.array_equal(np.asarray(image), plain)
        assert "NOT A PATIENT" in image.info["Warning"]
        assert json.loads(image.info["echonode"])["seed"] == document["seed"]
    assert Path(document["picture"]).name == "patient0000_4CH_ED_training.v1.png"
    assert "no patient" in (tmp_path / "tree" / "SYNTHETIC.txt").read_text()
    labels = np.asarray(Image.open(tmp_path / "tree" / "labels" / Path(document["picture"]).name))
    assert labels.shape == (32, 32, 3)
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}


def test_pictures_for_people_carry_the_words(runner: SynthesisRunner, maps: list[Path], tmp_path: Path) -> None:
    (document,) = _made(runner, files=maps[:1], out=tmp_path / "seen")
    shown = np.asarray(Image.open(document["picture"]))
    assert shown.shape == (256, 256, 3)
    assert document["marked"]
    words = (shown == (255, 205, 60)).all(axis=2)
    assert words[:20].any()
    assert words[-20:].any()
    large = marked(np.zeros((600, 500, 3), np.uint8))
    assert large.shape == (600, 500, 3)


def test_what_is_no_label_map_is_refused_by_name(runner: SynthesisRunner, tmp_path: Path) -> None:
    codes = np.zeros((32, 32), np.uint8)
    codes[3, 3] = 9
    Image.fromarray(codes).save(tmp_path / "code.png")
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(tmp_path / "colour.png")
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(codes * 0).save(tmp_path / "patient0001_2CH_ES_training.png")
    files = [tmp_path / name for name in ("code.png", "colour.png", "text.png", "patient0001_2CH_ES_training.png")]
    reasons = {Path(row["source"]).stem: row["refused"]["reason"] for row in _made(runner, files=files)}
    assert "label 9" in reasons["code"]
    assert "coloured" in reasons["colour"]
    assert "no picture" in reasons["text"]
    assert "the network makes 4CH_ED" in reasons["patient0001_2CH_ES_training"]
    same = tmp_path / "other" / "code.png"
    with pytest.raises(BadInput, match="overwrite"):
        _made(runner, files=[files[0], same])


def test_camus_codes_get_their_sector_from_the_picture(runner: SynthesisRunner, tmp_path: Path) -> None:
    picture = np.zeros((40, 40), np.uint8)
    picture[5:35, 5:35] = 90
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20, 10:20], labels[20:30, 10:20], labels[0:3, 0:3] = 2, 3, 1
    for folder, pixels in (("maps", labels), ("pictures", picture)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "a.png")
    (document,) = _made(
        runner,
        files=[tmp_path / "maps" / "a.png"],
        images=tmp_path / "pictures",
        camus=True,
        out=tmp_path / "o",
        tree=True,
    )
    assert document["state"] == "made"
    seen = np.asarray(Image.open(tmp_path / "o" / "labels" / "a.png"))[:, :, 0]
    assert set(np.unique(seen)) == {0, 2, 3, 4}  # label 1 lay outside the sector
    assert (tmp_path / "o" / "images" / "a.png").is_file()
    with pytest.raises(BadInput, match="CAMUS"):
        _made(runner, files=[tmp_path / "maps" / "a.png"], camus=True)


def test_the_runner_gives_a_marked_synthetic_picture_or_a_reason(runner: SynthesisRunner, maps: list[Path]) -> None:
    labels = np.asarray(Image.open(maps[0]))
    clip = Clip(
        frames=labels[None, :, :, None], times_ms=np.zeros(1), source=SourceIdentity(name=maps[0].name)
    )  # fmt: skip
    asked = [STEPS, STEPS | {"guidance": 2.0}, {"steps": 0}, {"sampler": "magic"}, {"seed": -1, **STEPS}]
    results = [only for (only,) in runner.run([clip] * 5, asked, _silent)]
    assert isinstance(results[0], Picture)
    assert results[0].synthetic
    assert results[0].pixels.shape == (256, 256, 3)
    reasons = [result.reason for result in results[1:] if isinstance(result, Ineligible)]
    assert len(reasons) == 4
    assert "without dropped labels" in reasons[0]


def _of_a_loop(labels: np.ndarray) -> tuple[Clip, Clip]:
    """A label map as the node reads it back, and the loop behind it: something moves in a square around the heart."""
    seen = np.zeros((4, *labels.shape, 1), np.uint8)
    seen[:, 12:-12, 12:-12, 0] = np.random.default_rng(3).integers(
        0, 255, (4, labels.shape[0] - 24, labels.shape[1] - 24)
    )
    segmentation = SourceIdentity(sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4", name="2.25.7")
    label_map = Clip(frames=labels[None, :, :, None], times_ms=np.array([2.0]), source=segmentation, timed=False)
    return label_map, Clip(frames=seen, times_ms=np.arange(4) * 30.0, view=VIEWS["A4C"])


def test_a_segmentation_is_read_in_the_codes_of_the_network(runner: SynthesisRunner) -> None:
    """Codes of CAMUS taken for sector codes would make the myocardium of each heart a piece of tissue outside it."""
    labels = np.zeros((64, 64), np.uint8)
    labels[20:44, 20:44] = 2
    labels[26:38, 26:38] = 1
    started, loop = _of_a_loop(labels)
    given: list[np.ndarray] = []
    sampled = runner.sampled

    def seen(maps: Any, **options: Any) -> Any:
        given.extend(maps)
        return sampled(maps, **options)

    runner.sampled = seen  # type: ignore[method-assign]
    ((picture,),) = runner.run([started], [{**STEPS, "loop": loop, "phase": "ED"}], _silent)
    assert isinstance(picture, Picture)
    (codes,) = given
    assert (codes[30, 30], codes[21, 21], codes[16, 16], codes[0, 0]) == (1, 3, 2, 0)


def test_a_segmentation_without_its_loop_or_of_another_view_is_refused(runner: SynthesisRunner) -> None:
    started, loop = _of_a_loop(np.ones((48, 48), np.uint8))
    ((without,),) = runner.run([started], [dict(STEPS)], _silent)
    assert isinstance(without, Ineligible)
    assert "the loop itself is needed" in without.reason
    ((other,),) = runner.run([started], [{**STEPS, "loop": loop, "phase": "ES"}], _silent)
    assert isinstance(other, Ineligible)
    assert "the network makes 4CH_ED; this is 4CH_ES" in other.reason
