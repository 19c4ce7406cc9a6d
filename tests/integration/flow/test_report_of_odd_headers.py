"""Whatever a scanner writes into a header, the study's report comes, and soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from echonode.core.identity import new_id
from tests.support.loops import loop_dataset
from tests.support.reporting import ROUTES, ReportBench

FRAMES, STAGE, VIEW_NUMBER, VIEW_NAME = 0x00280008, 0x00082120, 0x00082128, 0x00082127


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[ReportBench]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    made = ReportBench(tmp_path, routes={**ROUTES, "report": {"deliver_to": ["pacs", "archive"], "document": True}})
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (FRAMES, "IS", b"1e308 "), (FRAMES, "IS", b"999999999999"), (VIEW_NUMBER, "IS", b"-1e300"),
        (STAGE, "SH", b"R" * 60_000), (STAGE, "SH", b"Re\0st "), (VIEW_NAME, "SH", b"v" * 60_000),
    ],
)  # fmt: skip
def test_the_report_comes(bench: ReportBench, tag: int, vr: str, value: bytes) -> None:
    loop = loop_dataset(frames=4)
    loop[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True, True)
    association = new_id()
    assert bench.receive(loop, association=association).accepted
    bench.archive.activity.closed(association)
    bench.say(loop, 54.0)
    bench.complete()
    facts = bench.archive.index.facts(str(loop.SOPInstanceUID))
    assert facts is not None
    assert len(facts.view_reason) < 300
    assert "\0" not in (facts.stage or "")
    report = bench.current(str(loop.StudyInstanceUID))
    assert [each.kind for each in report.objects] == ["document"]
