"""What a loop's own frames say of a network: where they contradict it, a site must not see what it adds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip
from echonode.core.results import Loop
from echonode.tasks.common.sector import find_scene
from echonode.tasks.slow_motion.eligibility import Limits
from echonode.tasks.slow_motion.engine import Pair, Trial
from echonode.tasks.slow_motion.optical_flow import OpticalFlow
from echonode.tasks.slow_motion.refined_flow import RefinedFlow
from echonode.tasks.slow_motion.refinement import LIGHT, Refinement
from echonode.tasks.slow_motion.runner import SlowMotionRunner, Trustworthiness
from echonode.tasks.slow_motion.sector_frames import SectorFrames

ADDED = 20.0  # grey levels


def lighter() -> RefinedFlow:
    """An engine whose network makes every picture lighter by twenty grey levels."""
    network = Refinement(width=8, deep=8, fine=8, blocks=1).eval().requires_grad_(False)
    assert network.light.bias is not None
    network.light.bias.fill_(ADDED / (255 * LIGHT))
    return RefinedFlow(network, optical=OpticalFlow(), device=torch.device("cpu"))


def still(truth: int) -> Trial:
    """Two frames of one grey, and one between them that is lighter by `truth`."""
    grey = np.full((48, 48), 90, np.uint8)
    everywhere = np.ones(grey.shape, np.bool_)
    deep = grey[:, :, None]
    pair = Pair(frame0=deep, frame1=deep, luma0=grey, luma1=grey.copy(), open_pixels=everywhere)
    return Trial(pair=pair, t=0.5, truth=np.full_like(grey, 90 + truth), looked_at=everywhere)


@pytest.mark.parametrize(("truth", "share"), [(-10, 0), (0, 0), (10, 50), (20, 100), (60, 100)])
def test_as_much_is_used_as_known_frames_bear_out(truth: int, share: int) -> None:
    engine = lighter().suited([still(truth), still(truth)])
    said = [int(remark.split("%")[0]) for remark in engine.remarks]
    assert said == ([] if share == 100 else [pytest.approx(share, abs=1)])
    assert engine.wary == (share < 50)


def test_without_known_frames_the_network_is_believed() -> None:
    assert lighter().suited([]).remarks == ()


def test_a_network_that_a_loop_contradicts_draws_nothing_and_the_object_says_so(
    heart: np.ndarray, make_clip: Callable[..., Clip]
) -> None:
    learned_nothing = Refinement(width=8, deep=8, fine=8, blocks=1).eval().requires_grad_(False)
    classical = RefinedFlow(learned_nothing, optical=OpticalFlow(), device=torch.device("cpu"), share=0.0)
    found = []
    for engine in (lighter(), classical):
        runner = SlowMotionRunner(engine=engine, limits=Limits(), trustworthiness=Trustworthiness())
        ((loop,),) = runner.run([make_clip(heart)], [{"factor": 2}], lambda done, total: None)
        assert isinstance(loop, Loop), loop
        found.append(loop)
    wrong, right = found
    assert np.abs(wrong.frames.astype(int) - right.frames).mean() < 0.5
    assert any("of what the network adds is used" in note for note in wrong.notes)


def test_trials_ask_for_frames_that_can_be_known(draw: Callable[..., np.ndarray]) -> None:
    """A repeated frame knows nothing of motion, and one at another pace is not where its neighbours say."""
    frames = draw(12)
    frames[3] = frames[2]
    times = 33.0 * np.arange(12)
    times[8:] += 40
    scene = find_scene(frames, ())
    assert scene is not None
    inside = SectorFrames(frames, times, scene)
    trials = list(inside.trials())
    assert 1 <= len(trials) <= 4
    known = {index: inside.pair(index).luma0 for index in range(11)}
    for trial in trials:
        (place,) = [index for index, light in known.items() if np.array_equal(light, trial.truth)]
        assert place not in (2, 3, 7, 8)
        assert trial.t == pytest.approx(0.5)
        assert np.array_equal(trial.pair.luma0, known[place - 1])
        assert np.array_equal(trial.pair.luma1, known[place + 1] if place < 10 else inside.pair(10).luma1)
        if trial.pair.before is not None:
            assert np.array_equal(trial.pair.before, known[place - 3])


def test_a_loop_of_two_frames_has_no_trial(draw: Callable[..., np.ndarray]) -> None:
    frames = draw(12)
    scene = find_scene(frames, ())
    assert scene is not None
    assert not list(SectorFrames(frames[:2], 33.0 * np.arange(2), scene).trials())
