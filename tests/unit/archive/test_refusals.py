"""Refusals are counted, not piled up."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.archive.archive import Archive


def test_the_same_refusal_is_one_row_with_a_count(tmp_path: Path) -> None:
    times = iter(range(100))
    archive = Archive.open(f"sqlite:///{tmp_path / 'x.sqlite3'}", clock=lambda: float(next(times)), migrate=True)
    for _ in range(3):
        archive.refusals.record(
            what="association", calling_ae="WHO", address="10.0.0.1", reason="unknown", advice="add"
        )
    archive.refusals.record(what="context", calling_ae="WHO", address="10.0.0.1", reason="no such class")
    latest, first = archive.refusals.list()
    assert (latest.what, latest.count) == ("context", 1)
    assert (first.count, first.first_seen, first.last_seen, first.advice) == (3, 0.0, 2.0, "add")
    archive.close()


def test_a_scan_of_a_thousand_titles_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echonode.archive.refusals.MOST_ROWS", 20)
    archive = Archive.open(f"sqlite:///{tmp_path / 'x.sqlite3'}", migrate=True)
    for number in range(60):
        archive.refusals.record(what="association", calling_ae=f"AE{number}", reason="x" * 5000)
    kept = archive.refusals.list()
    assert len(kept) <= 20
    assert kept[0].calling_ae == "AE59", "the latest is kept"
    assert len(kept[0].reason) <= 256
    archive.close()
