"""The marks on which one model is chosen over another: a wrong mask, time or mean would choose the wrong one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from echonode.core.clip import Clip, Mode
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.dicom.video import write_video
from echonode.tasks.common.sector import find_scene
from echonode.tasks.slow_motion.evaluate.evaluation import evaluate, relaxed
from echonode.tasks.slow_motion.evaluate.held_out import held_out
from echonode.tasks.slow_motion.evaluate.quality import gradient_energy, psnr, ssim
from echonode.tasks.slow_motion.evaluate.scores import (
    BLENDING,
    REPETITION,
    Score,
    dis_name,
    of_model,
    references,
    sharp_name,
)
from echonode.tasks.slow_motion.runner import open_runner
from echonode.training.arguments import EvaluationArguments

EVERYWHERE = np.ones((40, 50), np.bool_)


def speckle(height: int = 40, width: int = 50, *, seed: int = 0) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((height, width)).astype(np.float32), (0, 0), 1.5)
    return 255 * (noise - noise.min()) / np.ptp(noise)


def moving(frames: int = 9, *, pixels: float = 2.0) -> Clip:
    """Speckle that slides to the right, behind a fixed window."""
    wide = cv2.GaussianBlur(np.random.default_rng(3).random((120, 240)).astype(np.float32), (0, 0), 2)
    wide = 255 * (wide - wide.min()) / np.ptp(wide)
    y, x = np.mgrid[0:120, 0:160].astype(np.float32)
    pictures = [cv2.remap(wide, x + 40 - np.float32(pixels * index), y, cv2.INTER_LINEAR) for index in range(frames)]
    window = (np.hypot(x - 80, y - 60) < 55)[None]
    return Clip(
        frames=np.where(window, np.rint(np.stack(pictures)), 0).astype(np.uint8)[..., None],
        times_ms=np.arange(frames) * 30.0,
        mode=Mode.B_MODE,
    )


def arguments(folder: Path, *packages: Package, figures: Path | None = None, **options: str) -> EvaluationArguments:
    return EvaluationArguments(
        task="slow-motion", packages=packages, data=(str(folder),), figures=figures, threads=1, device="cpu",
        options={"factors": "2", "sigmas": "0,2", **options},
    )  # fmt: skip


def test_decibels_are_of_the_mask_alone() -> None:
    """Black surroundings would add ten decibels to everything."""
    truth, found, inside = np.zeros((40, 50), np.float32), np.zeros((40, 50), np.float32), np.zeros((40, 50), np.bool_)
    found[:4] = 10
    inside[:8] = True
    assert psnr(found, truth, inside) == pytest.approx(10 * np.log10(255**2 / 50))


def test_similarity_is_one_for_itself_and_falls_with_noise() -> None:
    """A range that is not the picture's makes every SSIM look good."""
    picture = speckle()
    noisy = picture + 20 * np.random.default_rng(1).standard_normal(picture.shape).astype(np.float32)
    assert ssim(picture, picture, EVERYWHERE) == pytest.approx(1)
    assert ssim(noisy, picture, EVERYWHERE) < 0.9


def test_gradient_energy_is_that_of_a_ramp() -> None:
    """The bound of 0.9 to 1.1 on pulsing stands on it."""
    y, x = np.mgrid[0:40, 0:50].astype(np.float32)
    assert gradient_energy(3 * x + 4 * y, EVERYWHERE) == pytest.approx(25)


def test_times_of_the_loop_say_where_a_frame_lies() -> None:
    """Frame numbers instead of times compare a model with a picture of another moment."""
    clip = replace(moving(5), times_ms=np.array([0.0, 10, 40, 60, 80]))
    held = held_out(clip, factor=2, sector=np.ones((120, 160), np.bool_))
    assert held is not None
    assert [target.t for target in held.targets] == [0.25, 0.5]
    assert held.kept == (0, 2, 4)
    assert held.gap_ms == 40


def test_a_frame_that_equals_its_neighbour_is_not_asked_back() -> None:
    """Converters repeat frames: whoever repeats them too would win."""
    clip = moving(9)
    clip.frames[3] = clip.frames[2]
    held = held_out(clip, factor=2, sector=np.ones((120, 160), np.bool_))
    assert held is not None
    assert [target.index for target in held.targets] == [1, 5, 7]
    assert held.skipped == 1


def test_nothing_is_asked_of_a_loop_that_is_too_short() -> None:
    assert held_out(moving(4), factor=4, sector=np.ones((120, 160), np.bool_)) is None


def test_flow_understands_motion_and_blending_blurs(optical_flow: Package) -> None:
    """A warp in the wrong direction would make optical flow easy to beat."""
    clip = moving(9, pixels=4.0)
    scene = find_scene(clip.frames, ())
    assert scene is not None
    held = held_out(clip, factor=2, sector=scene.sector)
    assert held is not None
    assert held.dense_factor() == 2
    scores = references(held, scene, sigmas=(0.0, 2.0))
    best = max(scores[dis_name(sigma)].psnr for sigma in (0.0, 2.0))
    assert best > scores[BLENDING].psnr + 2
    assert scores[BLENDING].pulsing < 0.9
    assert scores[REPETITION].pulsing == pytest.approx(1, abs=0.05)
    ours = of_model(held, scene, open_runner(relaxed(optical_flow), "cpu", 1), name="ours")
    assert isinstance(ours, Score), ours
    assert ours.frames == 4
    assert ours.psnr > scores[BLENDING].psnr + 2


def test_softness_wins_decibels_where_grain_is_new_in_each_frame() -> None:
    """Flow whose pictures are as sharp as the loop must be there to compare with: of grain that is new in each frame the
    soft mean is nearer to the truth than any picture that has grain."""
    clip = moving(9, pixels=1.0)
    noise = np.random.default_rng(2).normal(0, 12, clip.frames.shape[:3])
    clip.frames[...] = np.clip(clip.frames + noise[..., None] * (clip.frames > 0), 0, 255).astype(np.uint8)
    scene = find_scene(clip.frames, ())
    assert scene is not None
    held = held_out(clip, factor=2, sector=scene.sector)
    assert held is not None
    scores = references(held, scene, sigmas=(1.0,))
    soft, sharp = scores[dis_name(1.0)], scores[sharp_name(1.0)]
    assert soft.pulsing < 0.8
    assert sharp.pulsing == pytest.approx(0.9, abs=0.02)
    assert soft.psnr > sharp.psnr + 0.5
    assert soft.psnr_structures > soft.psnr + 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, draw: Callable[..., np.ndarray]) -> Path:
    where = tmp_path_factory.mktemp("loops")
    write_video(where / "grey.mkv", draw(9), fps=30)
    # Every second frame alone still changes its colour.
    write_video(where / "colour.mkv", draw(13, colour_box=True)[[0, 1, 3, 4, 6, 7, 9, 10, 12]], fps=30)
    write_video(where / "slow.mkv", draw(9), fps=10)
    return where


def test_models_are_judged_side_by_side(folder: Path, optical_flow: Package, tmp_path: Path) -> None:
    """The table that decides which model is the default."""
    plain = replace(optical_flow, name="plain", config={**optical_flow.config, "texture_sigma": 0.0})
    found = evaluate(arguments(folder, optical_flow, plain, figures=tmp_path))
    (loop,) = [row for row in found.further["loops"] if row["loop"].endswith("grey.mkv")]
    assert set(loop["scores"]) >= {"repetition", "blending", "DIS sigma 0", "DIS sigma 2", "optical-flow", "plain"}
    assert loop["gap_ms"] == pytest.approx(2000 / 30, rel=1e-2)
    assert 0.1 < loop["sector_share"] < 0.9
    reasons = {(each["loop"].split("/")[-1], each["by"]): each["reason"] for each in found.further["left_out"]}
    assert "100.0 ms" in reasons["slow.mkv", "the evaluation"]
    assert "colour" in reasons["colour.mkv at 2x", "plain"]
    differences = found.tables["differences, paired by loop"]
    assert {row[2] for row in differences.rows} >= {"optical-flow - plain"}
    assert {metric.name for metric in found.metrics["plain"]} == {
        "PSNR 2x",
        "PSNR of structures 2x",
        "SSIM 2x",
        "pulsing 2x",
        "PSNR above DIS 2x",
        "PSNR above sharp DIS 2x",
        "PSNR of structures above DIS 2x",
    }
    assert found.figures
    assert all(path.is_file() for path in found.figures)
    json.dumps(found.as_json())


def test_grey_only_leaves_colour_loops_out(folder: Path) -> None:
    found = evaluate(arguments(folder, grey_only="true"))
    assert [row["loop"].split("/")[-1] for row in found.further["loops"]] == ["grey.mkv"]


@pytest.mark.parametrize(
    ("option", "value"), [("factors", "1"), ("max_gap_ms", "0"), ("sigmas", "-1"), ("colour", "yes")]
)
def test_options_that_make_no_sense_are_named(folder: Path, option: str, value: str) -> None:
    with pytest.raises(BadInput, match=option):
        evaluate(arguments(folder, **{option: value}))


def test_a_model_of_another_task_is_refused(folder: Path, optical_flow: Package) -> None:
    with pytest.raises(BadInput, match="mmode"):
        evaluate(arguments(folder, replace(optical_flow, task="mmode")))
