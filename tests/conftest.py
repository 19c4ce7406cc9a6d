"""Fixtures that every test may use: where the shared test material lies, and peers from Debian."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = CHECKOUT.parent / "shared"


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"../shared/{folder} is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real ultrasound files and hostile files."""
    return _shared("data")


@pytest.fixture(scope="session")
def parity() -> Path:
    """Numbers computed with the authors' own code."""
    return _shared("parity")


@pytest.fixture(scope="session")
def bench() -> Path:
    """Load generators."""
    return _shared("bench")


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """The path of an installed program; skips the test where there is none."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed on this machine")
        return path

    return find


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A loopback port that nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def averaged_loop() -> Callable[..., Any]:
    """Makes a slow loop of a clip by plain averages of its neighbours: a real loop without a model."""
    import numpy as np

    from echonode.core.clip import Clip
    from echonode.core.results import Loop

    def make(clip: Clip, *, factor: int = 4, sector: Any = None) -> Loop:
        sources, count = clip.frames, (len(clip.frames) - 1) * factor + 1
        frames = np.empty((count, *sources.shape[1:]), np.uint8)
        for index in range(count):
            before, share = divmod(index, factor)
            after = min(before + 1, len(sources) - 1)
            mixed = sources[before].astype(np.uint16) * (factor - share) + sources[after].astype(np.uint16) * share
            frames[index] = mixed // factor
        positions = np.arange(count) / factor
        if sector is None:
            rows, columns = sources.shape[1:3]
            sector = np.zeros((rows, columns), bool)
            sector[rows // 4 : rows * 3 // 4, columns // 4 : columns * 3 // 4] = True
        return Loop(
            frames=frames,
            positions=positions,
            times_ms=np.interp(positions, np.arange(len(sources)), clip.times_ms),
            acquired=np.arange(count) % factor == 0,
            repeated=np.zeros(count, bool),
            sector=sector,
            factor=factor,
        )

    return make
