"""Fixtures that every test may use: where the shared test material lies, and peers from Debian."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

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
