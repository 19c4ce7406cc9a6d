"""What a site would lose if training did not resume exactly, or learned from what it must not see."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from echonode.core.clip import Clip
from echonode.core.errors import BadInput
from echonode.registry.catalogue import Catalogue
from echonode.tasks.slow_motion.optical_flow import OpticalFlow
from echonode.tasks.slow_motion.refined_flow import RefinedFlow
from echonode.tasks.slow_motion.refinement import Flows4, Refinement
from echonode.tasks.slow_motion.runner import open_runner
from echonode.tasks.slow_motion.texture import blurred, fused
from echonode.tasks.slow_motion.train import main
from echonode.tasks.slow_motion.train.loops import TrainingLoop
from echonode.tasks.slow_motion.train.samples import AFTER, BEFORE, FIRST, SECOND, Samples, augmented, draw
from echonode.training.arguments import TrainingArguments

SMALL = {"width": "8", "fine": "8", "targets": "3", "crops": "2", "drawn": "48", "crop": "32", "validate_every": "2"}


def speckle(*, size: int, frames: int) -> np.ndarray:
    """uint8 (T, size, size): speckle that moves a pixel to the left with every frame."""
    random = np.random.default_rng(3)
    wide = cv2.GaussianBlur(random.random((size, size + frames)).astype(np.float32), (0, 0), 1.5)
    wide = (255 * (wide - wide.min()) / np.ptp(wide)).astype(np.uint8)
    return np.stack([wide[:, frame : frame + size] for frame in range(frames)])


def prepared(root: Path, *, clips: int = 3, size: int = 64) -> Path:
    """Clips of twelve frames in the published layout."""
    for split, count in (("train", clips), ("validation", 1), ("test", 1)):
        for clip in range(count):
            folder = root / split / f"{clip}"
            folder.mkdir(parents=True)
            for number, frame in enumerate(speckle(size=size, frames=12 + clip)[clip:]):
                Image.fromarray(frame).save(folder / f"{number:06d}.png")
    return root


def moving_clip() -> Clip:
    frames = speckle(size=96, frames=6)[..., None]
    return Clip(frames=np.ascontiguousarray(frames), times_ms=33.0 * np.arange(len(frames)))


def arguments(data: Path, out: Path, **changed: object) -> TrainingArguments:
    usual = {
        "task": "slow-motion",
        "data": (str(data),),
        "out": out,
        "steps": 4,
        "batch": 2,
        "threads": 1,
        "device": "cpu",
    }
    return TrainingArguments(**{**usual, **changed})  # type: ignore[arg-type]


def weights_of(folder: Path, part: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.pt", weights_only=True)["state"][part]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("recipe", "options", "part"),
    [("sound", SMALL, "network"), ("published", {"narrow": "16", "crop": "64"}, "pair")],
)
def test_a_run_that_was_stopped_and_resumed_has_the_weights_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, options: dict[str, str], part: str
) -> None:
    data = prepared(tmp_path / "data")
    main(arguments(data, tmp_path / "whole", recipe=recipe, options=options))
    from echonode.training.run import Run

    asked = iter([False, False, True])
    with monkeypatch.context() as patched:
        patched.setattr(Run, "stop_wanted", property(lambda run: next(asked)))
        stopped = main(arguments(data, tmp_path / "cut", recipe=recipe, options=options))
    assert stopped.stopped_at == 2
    main(arguments(data, tmp_path / "cut", recipe=recipe, options=options, resume=True))
    whole, cut = weights_of(tmp_path / "whole", part), weights_of(tmp_path / "cut", part)
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


@pytest.mark.parametrize(("recipe", "options"), [("sound", SMALL), ("published", {"narrow": "16", "crop": "64"})])
def test_what_was_trained_is_a_package_that_the_node_runs(tmp_path: Path, recipe: str, options: dict[str, str]) -> None:
    data = prepared(tmp_path / "data")
    result = main(
        arguments(data, tmp_path / "run", recipe=recipe, options=options, name="learned", models=tmp_path / "models")
    )
    assert result.package == tmp_path / "models" / "learned"
    package = Catalogue([tmp_path / "models"]).get("learned")
    clip = moving_clip()
    ((loop,),) = open_runner(package, "cpu", 1).run([clip], [{"factor": 2}], lambda done, total: None)
    assert len(loop.frames) == 2 * len(clip.frames) - 1  # type: ignore[union-attr]
    assert (loop.frames[::2] == clip.frames).all()  # type: ignore[union-attr]
    assert "research use only" in package.intended_use


def test_a_network_that_has_learned_nothing_gives_the_classical_picture() -> None:
    clip = moving_clip()
    from echonode.tasks.common.sector import luma
    from echonode.tasks.slow_motion.agreement import agreement
    from echonode.tasks.slow_motion.engine import Pair

    lights = [luma(frame) for frame in clip.frames[:4]]
    pair = Pair(
        frame0=clip.frames[1],
        frame1=clip.frames[2],
        luma0=lights[1],
        luma1=lights[2],
        before=lights[0],
        after=lights[3],
    )
    optical = OpticalFlow(texture_sigma=1.5)
    refined = RefinedFlow(Refinement(width=8, fine=8), optical=optical, device=torch.device("cpu"))
    flows = refined.flows(pair)
    trust = agreement(flows.forward, flows.backward, tolerance=3.0)
    (plain,) = optical.frames(pair, flows, trust, [0.5])
    (found,) = refined.frames(pair, flows, trust, [0.5])
    assert np.abs(found - plain).max() < 0.01


def test_training_goes_through_the_same_fusion_as_the_product() -> None:
    random = np.random.default_rng(1)
    first, second = (cv2.GaussianBlur(random.random((64, 72)).astype(np.float32), (0, 0), 1.2) for _ in range(2))
    flow = np.full((64, 72, 2), 0.4, np.float32)
    from echonode.tasks.slow_motion.agreement import Agreement

    ones = np.ones((64, 72), np.float32)
    product = OpticalFlow(texture_sigma=1.5).fused(
        255 * first[:, :, None], 255 * second[:, :, None], Agreement(at0=ones, at1=ones), (flow, -flow), 0.25
    )
    tensors = [torch.from_numpy(part)[None, None] for part in (first, second)]
    towards = torch.from_numpy(flow.transpose(2, 0, 1))[None]
    learned = fused(*tensors, to0=towards, to1=-towards, t=torch.full((1, 1, 1, 1), 0.25), sigma=1.5)
    inside = (slice(12, -12), slice(12, -12))
    # OpenCV keeps fractions of a pixel in 1/32 steps.
    assert np.abs(255 * learned[0, 0].numpy() - product[:, :, 0])[inside].max() < 4.0
    assert np.abs(255 * learned[0, 0].numpy() - product[:, :, 0])[inside].mean() < 0.5


def test_blur_in_training_is_the_blur_of_the_product() -> None:
    picture = np.random.default_rng(2).random((40, 50)).astype(np.float32)
    found = blurred(torch.from_numpy(picture)[None, None], 1.5)[0, 0].numpy()
    assert np.abs(found - cv2.GaussianBlur(picture, (0, 0), 1.5)).max() < 1e-4


def moving_loop() -> TrainingLoop:
    clip = moving_clip()
    light = clip.frames[..., 0] if clip.frames.shape[3] == 1 else clip.frames.mean(axis=3).astype(np.uint8)
    return TrainingLoop(light=light, times_ms=clip.times_ms, counts=np.ones(light.shape[1:], np.bool_))


def test_samples_are_drawn_alike_and_turned_with_their_flows() -> None:
    one = draw(moving_loop(), targets=3, crops=2, size=48, seed=(7, 0, 0))
    two = draw(moving_loop(), targets=3, crops=2, size=48, seed=(7, 0, 0))
    assert one is not None
    assert two is not None
    assert (one.lights == two.lights).all()
    assert (one.flows == two.flows).all()
    assert ((one.times > 0) & (one.times < 1)).all()
    for seed in range(8):
        lights, flows, counts, time = augmented(one, 0, crop=32, chance=np.random.default_rng(seed))
        frames = torch.from_numpy(lights)[None]
        between = Flows4(
            forward=torch.from_numpy(flows)[None, 0:2], backward=torch.from_numpy(flows)[None, 2:4],
            before=torch.from_numpy(flows)[None, 4:6], after=torch.from_numpy(flows)[None, 6:8],
        )  # fmt: skip
        from echonode.tasks.common.warp import warp

        moved = warp(frames[:, SECOND : SECOND + 1], between.forward, convention="exact")[0, 0, 8:-8, 8:-8]
        still = frames[0, SECOND, 8:-8, 8:-8]
        target = frames[0, FIRST, 8:-8, 8:-8]
        # Wherever the flow is turned with the picture, warping by it must not be worse than not warping.
        assert float((moved - target).abs().mean()) <= 1.05 * float((still - target).abs().mean())
        assert lights.shape == (5, 32, 32)
        assert counts.shape == (1, 32, 32)
        assert 0 < time < 1
    assert {BEFORE, AFTER} == {0, 3}


def test_of_many_loops_no_more_is_kept_than_memory_holds(tmp_path: Path) -> None:
    """A folder of five hundred loops must not end the machine; every loop is still learned from."""
    data = prepared(tmp_path / "data", clips=5)
    main(arguments(data, tmp_path / "few", options={**SMALL, "most": "12"}))
    main(arguments(data, tmp_path / "all", options=SMALL))
    few, whole = (Samples.load(tmp_path / name / "train-samples.npz") for name in ("few", "all"))
    assert few is not None
    assert whole is not None
    assert 5 <= len(few) <= 12 < len(whole)


def test_the_published_recipe_refuses_loops_and_sizes_that_it_cannot_take(tmp_path: Path) -> None:
    data = prepared(tmp_path / "data", size=50)
    with pytest.raises(BadInput, match="no multiples of 32"):
        main(arguments(data, tmp_path / "run", recipe="published", options={"narrow": "16"}))


def test_a_test_that_was_named_is_never_learned_from(tmp_path: Path) -> None:
    """What --test-data names is held out, whatever else is asked for: its error would be no error."""
    data = prepared(tmp_path / "data")
    asked = arguments(data, tmp_path / "run", test_data=("phantom:1@9",), options={**SMALL, "everything": "true"})
    with pytest.raises(BadInput, match="held out"):
        main(asked)


def test_an_unknown_option_is_one_line_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such option; there are: width"):
        main(arguments(prepared(tmp_path / "data"), tmp_path / "run", options={"wdith": "8"}))


def test_a_frozen_data_set_names_every_frame(tmp_path: Path) -> None:
    main(arguments(prepared(tmp_path / "data"), tmp_path / "run", options=SMALL))
    content = json.loads((tmp_path / "run" / "dataset.json").read_text())
    assert sorted({item["split"] for item in content["items"]}) == ["test", "train", "validation"]
    assert all(len(item["files"]) == 12 for item in content["items"])
