"""A fresh environment has what pyproject.toml asks for: every dependency is locked, with hashes and without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def locked(checkout: Path) -> dict[str, str]:
    text = (checkout / "requirements.lock").read_text()
    return {normalised(name): pinned for name, pinned in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, flags=re.M)}


def test_every_dependency_is_locked(checkout: Path, locked: dict[str, str]) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    missing = {normalised(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in wanted} - locked.keys()  # type: ignore[index]
    assert not missing, f"run make lock: {sorted(missing)} not in requirements.lock"


def test_the_lock_has_hashes_and_no_addresses(checkout: Path) -> None:
    text = (checkout / "requirements.lock").read_text()
    assert "://" not in text
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    assert len(entries) > 50
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
