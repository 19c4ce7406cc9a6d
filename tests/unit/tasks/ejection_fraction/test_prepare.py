"""Clips must be the authors' to the byte in published mode, and about the heart and its time in clinical mode."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, PackageInvalid
from echonode.core.results import Ineligible
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.prepare import PADDING, Preparation, clinical, echonet_pictures, published

COREECHO = Convention()
DYNAMIC = Convention(frames=32, stride=2, period_ms=40.0, padding="after", all_starts=True)


def _video(count: int, *, side: int = 112) -> Clip:
    frames = np.random.default_rng(1).integers(0, 256, (count, side, side, 3)).astype(np.uint8)
    return Clip(frames=frames, times_ms=20.0 * np.arange(count))


def _beating(*, interval: float, seconds: float, size: tuple[int, int] = (120, 160), text: bool = False) -> Clip:
    """A ring that beats once a second in a sector, seen at any frame rate."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    grain = np.random.default_rng(2).random(size)
    sector = (np.hypot(x - width / 2, y) < 0.9 * height) & (np.abs(x - width / 2) < 0.8 * y)
    frames = []
    times = np.arange(round(seconds * 1000 / interval)) * interval
    for time in times:
        beat = 1 + 0.3 * np.sin(2 * np.pi * time / 1000)
        ring = np.exp(-(((np.hypot(x - width / 2, y - height / 2) - 0.2 * height * beat) / 6) ** 2))
        # The whole sector changes, as speckle does.
        tissue = 40 + 40 * grain + 40 * np.sin(2 * np.pi * (time / 1000 + grain)) + 120 * ring
        frame = np.where(sector, tissue, 0).clip(0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
        if text:
            frame[4:14, 4:40] = 255
            frame[-3, : round(width * (1 + time) / (1000 * seconds))] = (0, 220, 0)
        frames.append(frame)
    return Clip(frames=np.stack(frames), times_ms=times)


def _clinical(clip: Clip, **asked: int) -> Preparation:
    prepared = clinical(clip, COREECHO, colour=False, **asked)
    assert isinstance(prepared, Preparation), prepared
    return prepared


def test_a_long_video_gives_the_frames_that_were_asked_for() -> None:
    clip = _video(200)
    prepared = published(clip, COREECHO, starts=[0, 59])
    assert [[*shown[:2], shown[-1]] for shown in prepared.shown] == [[0, 4, 140], [59, 63, 199]]
    first, second = prepared.tensors(COREECHO)
    levels = COREECHO.levels()
    np.testing.assert_array_equal(second[1, 2].numpy(), levels[1][clip.frames[67, :, :, 1]])
    assert first.shape == (3, 36, 112, 112)
    with pytest.raises(BadInput, match="start 60"):
        published(clip, COREECHO, starts=[60])


def test_starts_are_spread_over_the_video_or_drawn_again_with_the_same_seed() -> None:
    clip = _video(200)
    assert published(clip, COREECHO).starts == (0.0, 30.0, 59.0)
    drawn = published(clip, COREECHO, seed=4, clips=5).starts
    assert drawn == published(clip, COREECHO, seed=4, clips=5).starts
    assert len(drawn) == 5
    assert max(drawn) <= 59


@pytest.mark.parametrize(
    ("convention", "count", "grey"),
    [(COREECHO, 100, (0 - 32.48997) / 49.87084), (DYNAMIC, 40, 0.0)],
    ids=["before", "after"],
)
def test_a_short_video_is_padded_as_its_authors_do(convention: Convention, count: int, grey: float) -> None:
    prepared = published(_video(count), convention, starts=[0])
    assert prepared.notes == (f"{convention.padded - count} frames were added to {count}",)
    (tensor,) = prepared.tensors(convention)
    missing = prepared.clips[0] == PADDING
    assert missing.sum() == sum(index * convention.stride >= count for index in range(convention.frames))
    np.testing.assert_allclose(tensor[0, missing].numpy(), grey, rtol=1e-5)


def test_echonet_dynamic_looks_from_every_start() -> None:
    assert published(_video(70), DYNAMIC).starts == tuple(float(start) for start in range(8))
    assert published(_video(70), DYNAMIC, clips=3).starts == (0.0, 4.0, 7.0)


def test_scanner_output_is_cropped_and_masked_as_echonet_dynamic_was() -> None:
    frames = np.full((2, 220, 300, 3), 50, np.uint8)
    frames[:, 20] = 0
    frames[:, 25:, 45:55] = 200
    (picture,) = echonet_pictures(frames, [1], side=112)
    y, x = np.mgrid[0:112, 0:112]
    kept = (x + y > 67) & (x - y < 67)
    assert not picture[~kept].any()
    # 200 rows are left below the banner; the square begins at column 50, and a tenth of 200 goes: columns 70 to 229.
    inner = picture[4:-4][kept[4:-4]]
    assert set(np.unique(inner)) == {50}, "columns 45 to 55 lie outside"


def test_clinical_frames_are_chosen_by_time() -> None:
    """The same heart at 50 and at 100 frames a second gives the same clip; by number it would be half as long."""
    slow, fast = (_clinical(_beating(interval=interval, seconds=4), clips=1) for interval in (20.0, 10.0))
    np.testing.assert_array_equal(slow.shown[0] * 2, fast.shown[0])
    np.testing.assert_array_equal(np.diff(slow.shown[0]), 4)
    assert slow.notes == ()


def test_a_short_loop_goes_round_instead_of_turning_black() -> None:
    prepared = _clinical(_beating(interval=25.0, seconds=1), clips=2)
    assert prepared.notes == ("the loop is shorter than a clip and goes round",)
    assert prepared.starts == (0.0, 500.0)
    for tensor in prepared.tensors(COREECHO):
        assert float(tensor[0].amax(dim=(1, 2)).min()) > 0, "a black frame was added"
    np.testing.assert_array_equal(prepared.shown[0] % 40, np.round(np.arange(36) * 80 % 1000 / 25).astype(int) % 40)


def test_text_and_trace_never_reach_the_network() -> None:
    with_text = _clinical(_beating(interval=25.0, seconds=2, text=True), clips=1).pictures
    without = _clinical(_beating(interval=25.0, seconds=2), clips=1).pictures
    assert np.abs(with_text.astype(int) - without.astype(int)).mean() < 2
    assert with_text.shape[1:] == (112, 112, 1)
    sector_share = (with_text[0] > 0).mean()
    assert 0.3 < sector_share < 0.9, "the sector fills the picture and is not squeezed"


def test_a_frozen_loop_and_a_coloured_one_are_refused() -> None:
    still = Clip(frames=np.full((40, 100, 100, 3), 90, np.uint8), times_ms=25.0 * np.arange(40))
    refusal = clinical(still, COREECHO, colour=False)
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "frozen"
    beating = _beating(interval=25.0, seconds=1)
    frames = beating.frames.copy()
    frames[::2, 50:70, 70:90] = (200, 20, 20)
    refusal = clinical(Clip(frames=frames, times_ms=beating.times_ms), COREECHO, colour=False)
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "colour"


@pytest.mark.parametrize(
    "config",
    [{"frames": 0}, {"frames": 36.5}, {"stride": True}, {"period_ms": -1}, {"padding": "grey"}, {"means": [1, 2, 3]},
     {"deviations": [0.0, 0.1, 0.1]}, {"means": "abc"}],
)  # fmt: skip
def test_a_config_that_no_clip_can_be_made_with_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(PackageInvalid, match=r"config\."):
        Convention.of(config)
