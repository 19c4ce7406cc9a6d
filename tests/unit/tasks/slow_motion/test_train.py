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
from echonode.core.results import Loop
from echonode.registry.catalogue import Catalogue
from echonode.tasks.common.sector import luma
from echonode.tasks.slow_motion.agreement import agreement
from echonode.tasks.slow_motion.eligibility import Limits
from echonode.tasks.slow_motion.engine import Pair
from echonode.tasks.slow_motion.optical_flow import OpticalFlow
from echonode.tasks.slow_motion.refined_flow import RefinedFlow
from echonode.tasks.slow_motion.refinement import Flows4, Refinement
from echonode.tasks.slow_motion.runner import SlowMotionRunner, Trustworthiness, open_runner
from echonode.tasks.slow_motion.texture import bounded, gradient_sum, restored
from echonode.tasks.slow_motion.train import main
from echonode.tasks.slow_motion.train.loops import TrainingLoop
from echonode.tasks.slow_motion.train.samples import AFTER, BEFORE, FIRST, SECOND, Samples, augmented, draw
from echonode.training.arguments import TrainingArguments

SMALL = {
    "width": "8", "deep": "8", "fine": "8", "blocks": "1", "targets": "3", "crops": "2", "drawn": "48", "crop": "32",
    "validate_every": "2",
}  # fmt: skip


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


def small_network() -> Refinement:
    return Refinement(width=8, deep=8, fine=8, blocks=1)


def test_a_network_that_has_learned_nothing_gives_the_classical_picture_as_sharp_as_the_loop() -> None:
    clip = moving_clip()
    lights = [luma(frame) for frame in clip.frames[:4]]
    inside = np.zeros(lights[0].shape, np.bool_)
    inside[10:-10, 10:-10] = True
    pair = Pair(
        frame0=clip.frames[1],
        frame1=clip.frames[2],
        luma0=lights[1],
        luma1=lights[2],
        open_pixels=inside,
        before=lights[0],
        after=lights[3],
    )
    optical = OpticalFlow()
    refined = RefinedFlow(small_network(), optical=optical, device=torch.device("cpu"))
    flows = refined.flows(pair)
    trust = agreement(flows.forward, flows.backward, tolerance=3.0)
    (plain,) = optical.frames(pair, flows, trust, [0.5])
    (found,) = refined.frames(pair, flows, trust, [0.5])
    assert np.abs(found - plain)[inside].mean() < 2.0
    acquired = gradient_sum(lights[1].astype(np.float32), inside)
    assert 0.9 <= gradient_sum(found[:, :, 0], inside) / acquired <= 1.1


def test_what_speeds_up_is_met_where_it_is() -> None:
    """A wall that accelerates by 4 pixels an interval squared is half a pixel from where even motion would have it."""
    speed, faster, t = 3.0, 4.0, 0.5
    onwards, back = speed + faster / 2, -speed + faster / 2
    still = torch.zeros(1, 1, 32, 32)

    def field(x: float) -> torch.Tensor:
        return torch.stack((torch.full((32, 32), x), torch.zeros(32, 32)))[None]

    flows = Flows4(forward=field(onwards), backward=field(-onwards), before=field(back), after=field(onwards + faster))
    found = small_network()(still.expand(-1, 4, -1, -1), flows, torch.tensor([t]))
    without = Flows4(forward=flows.forward, backward=flows.backward, before=field(0.0), after=field(0.0))
    even = small_network()(still.expand(-1, 4, -1, -1), without, torch.tensor([t]))
    place = speed * t + faster * t * t / 2
    for moved, straight, true in ((found.to0, even.to0, -place), (found.to1, even.to1, onwards - place)):
        missed, usual = (abs(float(each[0, 0].mean()) - true) for each in (moved, straight))
        assert usual == pytest.approx(0.5, abs=1e-4)
        assert missed < 0.15


@pytest.mark.parametrize("learned", [False, True])
def test_a_grey_loop_in_three_channels_comes_out_as_in_one(learned: bool) -> None:
    mono = moving_clip()
    three = Clip(frames=np.repeat(mono.frames, 3, axis=3), times_ms=mono.times_ms)
    found = []
    for clip in (mono, three):
        optical = OpticalFlow(texture_sigma=1.5)
        engine = RefinedFlow(small_network(), optical=optical, device=torch.device("cpu")) if learned else optical
        runner = SlowMotionRunner(engine=engine, limits=Limits(), trustworthiness=Trustworthiness())
        ((loop,),) = runner.run([clip], [{"factor": 3}], lambda done, total: None)
        assert isinstance(loop, Loop), loop
        found.append(loop.frames)
    assert np.ptp(found[1], axis=3).max() == 0
    assert (found[0][..., 0] == found[1][..., 0]).all()


def grain(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = cv2.GaussianBlur(random.random((96, 96)).astype(np.float32), (0, 0), 1.0)
    return 60 + 400 * (found - found.mean())


@pytest.mark.parametrize("asked", [0.6, 0.9, 1.0])
def test_a_soft_picture_gets_the_sharpness_that_is_asked_and_keeps_its_structures(asked: float) -> None:
    first, second = grain(1), grain(2)
    soft = 100 + 30 * np.sin(np.arange(96, dtype=np.float32) / 8)[None].repeat(96, axis=0)
    soft += 0.3 * (grain(1) - 60)
    everywhere = np.ones((96, 96), np.bool_)
    acquired = gradient_sum(first, everywhere)
    assert gradient_sum(soft, everywhere) < 0.2 * acquired
    for share in (0.0, 0.3):
        found = restored(soft, first, second, 0.5, share=share, energy=asked * acquired, counts=everywhere)
        assert gradient_sum(found, everywhere) == pytest.approx(asked * acquired, rel=0.03)
        assert np.abs(cv2.GaussianBlur(found - soft, (0, 0), 4.0)).mean() < 1.0


def test_a_network_that_is_wrong_draws_nothing_where_both_frames_agree() -> None:
    first = grain(1)
    second = first.copy()
    second[40:56, 40:56] += 80
    found = bounded(first + 50, first, second, 0.5, most=0.5)
    assert np.abs(found - first)[:24].max() < 1e-3
    assert (found - first)[46:50, 46:50].min() > 40


def test_pictures_without_texture_stay_as_they_are() -> None:
    flat = np.full((32, 32), 40, np.float32)
    nowhere = np.zeros((32, 32), np.bool_)
    for counts in (nowhere, ~nowhere):
        found = restored(flat, flat, flat, 0.5, share=0.3, energy=100.0, counts=counts)
        assert np.abs(found - flat).max() < 1e-3


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
        lights, flows, counts, time, _ = augmented(one, 0, crop=32, chance=np.random.default_rng(seed))
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
