"""What a sonographer must be able to rely on in a slow loop, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, Mode
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Ineligible, Loop
from echonode.tasks.common.sector import coloured, find_scene, grown
from echonode.tasks.slow_motion.eligibility import Limits
from echonode.tasks.slow_motion.net import UNet
from echonode.tasks.slow_motion.runner import SlowMotionRunner, Trustworthiness, open_runner
from echonode.tasks.slow_motion.superslomo import Convention, SuperSlomo

Slow = Callable[..., Loop]
Refused = Callable[..., Ineligible]
Draw = Callable[..., np.ndarray]
MakeClip = Callable[..., Clip]


def _nearest(loop: Loop, frames: np.ndarray) -> np.ndarray:
    below = np.floor(loop.positions).astype(int)
    return frames[np.where(loop.positions - below <= 0.5, below, np.minimum(below + 1, len(frames) - 1))]


@pytest.mark.parametrize("factor", [2, 3, 4, 7, 16])
def test_counts_times_and_acquired_frames(factor: int, heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    """An acquired frame that changed by one level is no longer what the scanner recorded."""
    loop = slow(make_clip(heart[:4]), factor=factor)
    assert len(loop.frames) == 3 * factor + 1
    assert loop.factor == factor
    np.testing.assert_array_equal(np.flatnonzero(loop.acquired), np.arange(4) * factor)
    np.testing.assert_array_equal(loop.frames[loop.acquired], heart[:4])
    np.testing.assert_allclose(loop.positions, np.arange(3 * factor + 1) / factor)
    np.testing.assert_allclose(loop.times_ms, loop.positions * 33.3)
    assert not loop.repeated[loop.acquired].any()


def test_interpolation_is_better_than_repetition(slow: Slow, make_clip: MakeClip, draw: Draw) -> None:
    """Every second frame is left out and asked back."""
    whole = draw(17)
    loop = slow(make_clip(whole[::2]), factor=2)
    inside = loop.sector & ~grown(coloured(whole[-1], find_scene(whole, ()).tint), 3)  # type: ignore[union-attr]
    made = loop.frames[1::2].astype(float)[:, inside] - whole[1::2][:, inside]
    repeated = whole[:-1:2].astype(float)[:, inside] - whole[1::2][:, inside]
    assert (made**2).mean() < 0.6 * (repeated**2).mean()


def test_everything_outside_the_sector_is_the_nearest_frame(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    """A blended clock or ECG would show a time that never was."""
    loop = slow(make_clip(heart), factor=4)
    nearest = _nearest(loop, heart)
    np.testing.assert_array_equal(loop.frames[:, ~loop.sector], nearest[:, ~loop.sector])
    assert not loop.sector[:25, :20].any(), "the clock is no part of the picture"
    assert loop.sector[80, 100]


def test_text_and_trace_inside_the_sector_are_never_blended(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    loop = slow(make_clip(heart), factor=4)
    scene = find_scene(heart, ())
    assert scene is not None
    nearest = _nearest(loop, heart)
    text = (heart.min(axis=(0, 3)) > 230) & loop.sector
    assert text.sum() > 10
    np.testing.assert_array_equal(loop.frames[:, text], nearest[:, text])
    for index in range(0, len(loop.frames), 3):
        trace = coloured(nearest[index], scene.tint)
        np.testing.assert_array_equal(loop.frames[index][trace], nearest[index][trace])


def test_grey_stays_grey_and_one_channel_stays_one(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    grey = heart[:, :, :, :1]
    loop = slow(make_clip(grey))
    assert loop.frames.shape[3] == 1
    np.testing.assert_array_equal(loop.frames[loop.acquired], grey)


def test_tinted_grey_map_is_no_colour_doppler(slow: Slow, refused: Refused, make_clip: MakeClip, draw: Draw) -> None:
    assert len(slow(make_clip(draw(6, tint=(1, 0.85, 0.6)))).frames) == 21
    assert refused(make_clip(draw(6, colour_box=True))).code == "colour"
    assert refused(make_clip(draw(6, tint=(1, 0.85, 0.6), colour_box=True))).code == "colour"


def test_gap_gets_more_frames_and_t_follows_time(heart: np.ndarray, slow: Slow) -> None:
    """A gap played at the speed of the other intervals would show a heart that stumbles."""
    clip = Clip(frames=heart[:6], times_ms=np.array([0.0, 10, 20, 50, 60, 70]))
    loop = slow(clip, factor=4)
    np.testing.assert_array_equal(np.flatnonzero(loop.acquired), [0, 4, 8, 20, 24, 28])
    np.testing.assert_allclose(np.diff(loop.times_ms), 2.5)
    np.testing.assert_allclose(loop.positions[9], 2 + 1 / 12)
    np.testing.assert_array_equal(loop.frames[loop.acquired], heart[:6])


def test_every_fourth_frame_is_not_crisper_than_the_others(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    """Speckle that fades between acquired frames flickers when the loop plays."""
    noise = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 60, heart.shape[:3]).transpose(1, 2, 0), (0, 0), 0.8)
    sector = heart.max(axis=(0, 3)) > 0
    speckled = np.where(sector[..., None], np.clip(heart[..., 0].transpose(1, 2, 0) + noise, 0, 255), 0)
    clip = make_clip(speckled.transpose(2, 0, 1)[..., None].astype(np.uint8)[:6])
    loop = slow(clip, factor=4)
    inside = cv2.erode(loop.sector.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)[:-1, :-1]
    shown = loop.frames[..., 0].astype(np.float32)
    energy = (np.diff(shown, axis=2)[:, :-1] ** 2 + np.diff(shown, axis=1)[:, :, :-1] ** 2)[:, inside].mean(axis=1)
    assert not loop.repeated.any()
    assert energy[~loop.acquired].mean() > 0.8 * energy[loop.acquired].mean()


def test_frames_that_have_nothing_in_common_are_repeated(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    """A cut in a loop must not become a morph."""
    other = np.random.default_rng(1).integers(0, 255, heart[:1].shape[:3], dtype=np.uint8)
    other = np.where(heart[:1].max(axis=3) > 0, other, 0).astype(np.uint8)
    frames = np.concatenate([heart[:3], np.repeat(other[..., None], 3, axis=3), heart[5:8]])
    loop = slow(make_clip(frames), factor=4)
    assert loop.repeated[9:12].all()
    np.testing.assert_array_equal(loop.frames[9:11], frames[[2, 2]])
    np.testing.assert_array_equal(loop.frames[11], frames[3])
    assert any("repeat" in note for note in loop.notes)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"frames": slice(0, 1)}, "still"),
        ({"interval": 45.1}, "frame-gap"),
        ({"mode": Mode.M_MODE}, "mode"),
        ({"mode": Mode.COLOUR}, "mode"),
        ({"same": True}, "frozen"),
    ],
)
def test_refusals(change: dict[str, object], code: str, heart: np.ndarray, refused: Refused) -> None:
    frames = heart[change["frames"]] if "frames" in change else heart  # type: ignore[index]
    if "same" in change:
        frames = np.repeat(heart[:1], 5, axis=0)
    times = np.arange(len(frames)) * float(change.get("interval", 40.0))  # type: ignore[arg-type]
    clip = Clip(frames=frames, times_ms=times, mode=change.get("mode", Mode.B_MODE))  # type: ignore[arg-type]
    answer = refused(clip)
    assert answer.code == code
    if code == "frame-gap":
        assert "45.1 ms" in answer.reason


def test_interval_of_exactly_the_limit_is_taken(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    assert len(slow(make_clip(heart[:3], interval=45.0), factor=2).frames) == 5


@pytest.mark.parametrize("factor", [1, 17, 0, -4, 2.5, "fast", None, True, float("nan"), float("inf")])
def test_wrong_factors_are_refused_in_words(
    factor: object, heart: np.ndarray, refused: Refused, make_clip: MakeClip
) -> None:
    answer = refused(make_clip(heart), factor=factor)
    assert answer.code == "parameters"
    assert "2 to 16" in answer.reason


def test_result_larger_than_allowed_is_refused(optical_flow: Package, heart: np.ndarray, make_clip: MakeClip) -> None:
    limits = Limits.of(contract=optical_flow.input, config={"output_bytes_max": 1000})
    engine = open_runner(optical_flow, "cpu", 1)._engine
    tight = SlowMotionRunner(engine=engine, limits=limits, trustworthiness=Trustworthiness())
    ((answer,),) = tight.run([make_clip(heart)], [{}], lambda done, total: None)
    assert isinstance(answer, Ineligible)
    assert answer.code == "size"


def test_long_results_lie_in_the_spool(heart: np.ndarray, slow: Slow, tmp_path: Path, make_clip: MakeClip) -> None:
    """A thousand frames at factor 16 do not fit into memory."""
    loop = slow(make_clip(heart), factor=2, spool=str(tmp_path / "run"))
    assert isinstance(loop.frames, np.memmap)
    assert Path(str(loop.frames.filename)).parent == tmp_path / "run"
    np.testing.assert_array_equal(
        np.load(tmp_path / "run" / "slow-motion.npy"), slow(make_clip(heart), factor=2).frames
    )


def test_progress_of_several_clips_rises_to_the_end(
    runner: SlowMotionRunner, heart: np.ndarray, make_clip: MakeClip
) -> None:
    told: list[tuple[int, int]] = []
    clips = [make_clip(heart[:3]), make_clip(heart[:1]), make_clip(heart[:4])]
    results = runner.run(clips, [{"factor": 2}] * 3, lambda done, total: told.append((done, total)))
    assert [type(result[0]) for result in results] == [Loop, Ineligible, Loop]
    assert told == sorted(told)
    assert told[-1] == (6, 6)


def test_same_clip_gives_the_same_bytes(heart: np.ndarray, slow: Slow, make_clip: MakeClip) -> None:
    """Derived objects are named after source, model and parameters: a second run must give the same pixels."""
    np.testing.assert_array_equal(slow(make_clip(heart)).frames, slow(make_clip(heart)).frames)


@pytest.mark.parametrize("convention", ["half-pixel", "legacy", "exact"])
def test_networks_behind_the_same_runner(
    convention: str, heart: np.ndarray, flow_net: UNet, interpolation_net: UNet, make_clip: MakeClip
) -> None:
    means = Convention.of({"means": [0.186, 0.184, 0.206], "warp_convention": convention})
    cpu = torch.device("cpu")

    def run(batch_bytes: int) -> Loop:
        engine = SuperSlomo(flow_net, interpolation_net, convention=means, device=cpu, batch_bytes=batch_bytes)
        networks = SlowMotionRunner(engine=engine, limits=Limits(), trustworthiness=Trustworthiness())
        ((result,),) = networks.run([make_clip(heart[:3])], [{"factor": 4}], lambda done, total: None)
        assert isinstance(result, Loop)
        return result

    loop = run(1 << 30)
    assert loop.frames.shape == (9, *heart.shape[1:])
    assert not loop.repeated.any()
    np.testing.assert_array_equal(loop.frames[loop.acquired], heart[:3])
    nearest = _nearest(loop, heart)
    np.testing.assert_array_equal(loop.frames[:, ~loop.sector], nearest[:, ~loop.sector])
    assert (loop.frames[2] != nearest[2]).any()
    off = np.abs(run(1).frames.astype(int) - loop.frames)
    assert off.max() <= 1, "the size of a batch must not change the picture"


def test_half_precision_moves_no_pixel_by_more_than_two_levels(
    heart: np.ndarray, flow_net: UNet, interpolation_net: UNet, make_clip: MakeClip
) -> None:
    """Where the processor has units for it the networks run in bfloat16; the picture must stay the same."""
    means = Convention.of({"means": [0.186, 0.184, 0.206], "warp_convention": "legacy"})
    loops = []
    for precision in (torch.float32, torch.bfloat16):
        engine = SuperSlomo(
            flow_net, interpolation_net, convention=means, device=torch.device("cpu"), precision=precision
        )
        networks = SlowMotionRunner(engine=engine, limits=Limits(), trustworthiness=Trustworthiness())
        ((result,),) = networks.run([make_clip(heart[:2])], [{"factor": 4}], lambda done, total: None)
        assert isinstance(result, Loop)
        loops.append(result.frames.astype(int))
    assert np.abs(loops[0] - loops[1]).max() <= 2


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"means": [0.1, 0.2], "warp_convention": "exact"},
        {"means": [0.1, 0.2, 3], "warp_convention": "exact"},
        {"means": [0.1, 0.2, "x"], "warp_convention": "exact"},
        {"means": [0.1, 0.2, 0.3], "warp_convention": "wrong"},
    ],
)
def test_package_without_a_sound_convention_is_refused(config: dict[str, object]) -> None:
    """A network that is run with another convention than it was trained with gives shifted pictures."""
    with pytest.raises(PackageInvalid):
        Convention.of(config)
