"""What a loop's own frames say of a network: where they contradict it, a site must not see what it adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip
from echonode.core.results import Loop
from echonode.tasks.common.sector import find_scene
from echonode.tasks.slow_motion.eligibility import Limits
from echonode.tasks.slow_motion.engine import Pair, Trial
from echonode.tasks.slow_motion.optical_flow import OpticalFlow
from echonode.tasks.slow_motion.refined_flow import Look, RefinedFlow
from echonode.tasks.slow_motion.refinement import LIGHT, Refinement
from echonode.tasks.slow_motion.runner import SlowMotionRunner, Trustworthiness
from echonode.tasks.slow_motion.sector_frames import SectorFrames

ADDED = 20.0  # grey levels


def lighter() -> RefinedFlow:
    """An engine whose network makes every picture lighter by twenty grey levels, and is not bounded."""
    network = Refinement(width=8, deep=8, fine=8, blocks=1).eval().requires_grad_(False)
    assert network.light.bias is not None
    network.light.bias.fill_(ADDED / (255 * LIGHT))
    return RefinedFlow(network, optical=OpticalFlow(), device=torch.device("cpu"), look=Look(most_added=1e3))


def still(truth: int) -> Trial:
    """Two frames that differ by two levels, so that something may be added, and one between them that is lighter by `truth`."""
    grey = np.full((48, 48), 90, np.uint8)
    everywhere = np.ones(grey.shape, np.bool_)
    deep = grey[:, :, None]
    pair = Pair(frame0=deep, frame1=deep, luma0=grey, luma1=grey + np.uint8(2), open_pixels=everywhere)
    return Trial(pair=pair, t=0.5, truth=np.full_like(grey, 91 + truth), looked_at=everywhere)


@pytest.mark.parametrize(("truth", "share"), [(-10, 0), (0, 0), (6, 30), (14, 70), (20, 100), (60, 100)])
def test_as_much_is_used_as_known_frames_bear_out(truth: int, share: int) -> None:
    engine = lighter().suited([still(truth), still(truth)])
    said = [int(remark.split("%")[0]) for remark in engine.remarks]
    assert said == ([] if share == 100 else [pytest.approx(share, abs=1)])
    assert engine.wary == (share < 50)


def test_without_known_frames_the_network_is_believed() -> None:
    assert lighter().suited([]).remarks == ()


class Unasked(RefinedFlow):
    """The same engine for every loop."""

    def suited(self, trials: Iterable[Trial]) -> RefinedFlow:
        return self


def slowed(engine: RefinedFlow, clip: Clip) -> Loop:
    runner = SlowMotionRunner(engine=engine, limits=Limits(), trustworthiness=Trustworthiness())
    ((loop,),) = runner.run([clip], [{"factor": 2}], lambda done, total: None)
    assert isinstance(loop, Loop), loop
    return loop


def test_a_network_that_a_loop_contradicts_draws_nothing_and_the_object_says_so(
    heart: np.ndarray, make_clip: Callable[..., Clip]
) -> None:
    clip = make_clip(heart)
    engine = lighter()
    loop = slowed(engine, clip)
    believed, nothing = (
        slowed(
            Unasked(engine._network, optical=OpticalFlow(), device=engine._device, look=engine._look, share=share), clip
        )
        for share in (1.0, 0.0)
    )
    inside = loop.sector
    made = loop.frames[~loop.acquired][:, inside].astype(int)
    assert np.abs(made - nothing.frames[~loop.acquired][:, inside]).max() <= 1
    assert (believed.frames[~loop.acquired][:, inside] - made).mean() > 5
    (said,) = [note for note in loop.notes if "of what the network adds is used" in note]
    assert int(said.split("%")[0]) < 10


def test_what_a_network_draws_where_flows_disagree_is_believed_only_on_loops_that_bear_it_out(
    heart: np.ndarray, make_clip: Callable[..., Clip]
) -> None:
    """Under a leaflet that jumps, half-believed pictures are ghosts of two places; the nearest acquired frame is not."""
    frames = heart.copy()
    frames[3:, 70:90, 95:105] = 250
    frames[:3, 110:125, 60:80] = 250
    clip = make_clip(frames[:6])
    learned_nothing = Refinement(width=8, deep=8, fine=8, blocks=1).eval().requires_grad_(False)
    bold, wary = (
        slowed(Unasked(learned_nothing, optical=OpticalFlow(), device=torch.device("cpu"), share=share), clip)
        for share in (1.0, 0.0)
    )
    assert (bold.frames[5] != wary.frames[5]).any()
    nearest = clip.frames[2]
    ghosts = [np.abs(loop.frames[5].astype(int) - nearest)[loop.sector].mean() for loop in (bold, wary)]
    assert ghosts[1] < ghosts[0]


def noisy(frames: np.ndarray) -> np.ndarray:
    """Frames of which no two are the same: a beat passes through each of its sizes twice."""
    noise = np.random.default_rng(6).integers(0, 5, frames.shape[:3], np.uint8)
    return np.clip(frames.astype(np.int16) + noise[..., None], 0, 255).astype(np.uint8)


def test_trials_ask_for_frames_that_can_be_known(draw: Callable[..., np.ndarray]) -> None:
    """A repeated frame knows nothing of motion, and one at another pace is not where its neighbours say."""
    frames = noisy(draw(12))
    frames[3] = frames[2]
    times = 33.0 * np.arange(12)
    times[8:] += 40
    scene = find_scene(frames, ())
    assert scene is not None
    inside = SectorFrames(frames, times, scene)
    trials = list(inside.trials())
    assert len(trials) == 4
    known = [*(inside.pair(index).luma0 for index in range(11)), inside.pair(10).luma1]
    for trial in trials:
        (place,) = [index for index, light in enumerate(known) if np.array_equal(light, trial.truth)]
        assert place not in (2, 3, 7, 8)
        assert trial.t == pytest.approx(0.5)
        assert np.array_equal(trial.pair.luma0, known[place - 1])
        assert np.array_equal(trial.pair.luma1, known[place + 1])
        for beyond, frame in ((trial.pair.before, place - 3), (trial.pair.after, place + 3)):
            if beyond is not None:
                assert np.array_equal(beyond, known[frame])
    assert any(trial.pair.before is not None for trial in trials)
    assert any(trial.pair.after is not None for trial in trials)


def test_where_a_frame_is_repeated_the_next_one_is_asked(draw: Callable[..., np.ndarray]) -> None:
    frames = noisy(draw(16))
    for place in (0, 4, 8, 12):
        frames[place + 1] = frames[place]
    scene = find_scene(frames, ())
    assert scene is not None
    assert len(list(SectorFrames(frames, 33.0 * np.arange(16), scene).trials())) == 4


def test_a_loop_of_two_frames_has_no_trial(draw: Callable[..., np.ndarray]) -> None:
    frames = draw(12)
    scene = find_scene(frames, ())
    assert scene is not None
    assert not list(SectorFrames(frames[:2], 33.0 * np.arange(2), scene).trials())
