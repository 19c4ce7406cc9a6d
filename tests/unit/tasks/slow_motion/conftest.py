"""A small heart on a black screen, with text, an ECG trace and a scale, and runners."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from echonode.core.clip import Clip
from echonode.core.package import Package
from echonode.core.results import Ineligible, Loop
from echonode.registry.catalogue import Catalogue
from echonode.tasks.slow_motion.runner import SlowMotionRunner, open_runner

HEIGHT, WIDTH = 160, 200


def _draw(frames: int, *, tint: tuple[float, float, float] = (1, 1, 1), colour_box: bool = False) -> np.ndarray:
    """Speckle in a sector whose ring beats; white text over it, a green trace that grows, a clock that ticks."""
    random = np.random.default_rng(5)
    speckle = cv2.GaussianBlur(random.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 1.5)
    speckle = (speckle - speckle.min()) / np.ptp(speckle)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    sector = (np.hypot(x - 100, y) < 140) & (np.abs(x - 100) < 0.75 * y)
    pictures = []
    for index in range(frames):
        beat = 1 + 0.12 * math.sin(2 * math.pi * index / 12)
        tissue = cv2.remap(speckle, 100 + (x - 100) / beat, 80 + (y - 80) / beat, cv2.INTER_LINEAR, borderMode=4)
        wall = np.exp(-(((np.hypot(x - 100, y - 80) - 30 * beat) / 8) ** 2))
        light = np.where(sector, 255 * tissue * (0.15 + 0.8 * wall), 0)
        picture = np.clip(light[:, :, None] * np.array(tint), 0, 255).astype(np.uint8)
        if colour_box:
            picture[70:90, 90:110] = (200, 20, 20) if index % 2 else (20, 20, 200)
        cv2.putText(picture, "LV", (80, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        cv2.putText(picture, str(index % 10), (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
        trace = [[column, 128 - (25 if column % 40 == 0 else column % 3)] for column in range(0, 20 + 6 * index, 2)]
        cv2.polylines(picture, [np.array(trace, np.int32)], isClosed=False, color=(0, 230, 0), thickness=1)
        pictures.append(picture)
    return np.stack(pictures)


def _make_clip(frames: np.ndarray, *, interval: float = 33.3) -> Clip:
    return Clip(frames=frames, times_ms=np.arange(len(frames)) * interval)


@pytest.fixture(scope="session")
def draw() -> Callable[..., np.ndarray]:
    """Frames uint8 T x H x W x 3 of that heart."""
    return _draw


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Clip]:
    """Frames as a clip with an even interval in ms."""
    return _make_clip


@pytest.fixture(scope="session")
def heart() -> np.ndarray:
    return _draw(9)


@pytest.fixture(scope="session")
def optical_flow(checkout: Path) -> Package:
    return Catalogue([checkout / "models"]).get("optical-flow")


@pytest.fixture(scope="session")
def runner(optical_flow: Package) -> SlowMotionRunner:
    return open_runner(optical_flow, "cpu", 1)


@pytest.fixture(scope="session")
def slow(runner: SlowMotionRunner) -> Callable[..., Loop]:
    def run(clip: Clip, **parameters: object) -> Loop:
        ((result,),) = runner.run([clip], [parameters], lambda done, total: None)
        assert isinstance(result, Loop), result
        return result

    return run


@pytest.fixture(scope="session")
def refused(runner: SlowMotionRunner) -> Callable[..., Ineligible]:
    def run(clip: Clip, **parameters: object) -> Ineligible:
        ((result,),) = runner.run([clip], [parameters], lambda done, total: None)
        assert isinstance(result, Ineligible), "it was slowed down"
        return result

    return run
