"""Orthanc as the PACS: results arrive and open there, and Orthanc's own query and retrieve works against the node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.acceptance.conftest import RunningNode
from tests.acceptance.test_studies import push
from tests.support.orthanc import Orthanc
from tests.support.waiting import wait_until


@pytest.mark.slow
@pytest.mark.parametrize(("name", "results"), [("stress_acuson", 12), ("adult_xario", 1)])
def test_results_reach_orthanc_and_orthanc_queries_and_retrieves_from_the_node(
    name: str,
    results: int,
    orthanc: Orthanc,
    node: Callable[..., RunningNode],
    shared_data: Path,
    program: Callable[[str], str],
) -> None:
    running = node(pacs_port=orthanc.dicom, pacs_title="ORTHANC")
    orthanc.put(
        "/modalities/echonode",
        {"AET": running.ae_title, "Host": "127.0.0.1", "Port": running.port, "LocalAet": "ORTHANC"},
    )
    study = shared_data / "ultrasound" / name
    sources = len(list(study.glob("*.dcm")))
    push(program("storescu"), running, study)
    wait_until(lambda: len(orthanc.call("/instances")) == results, seconds=240, what="the loops in Orthanc")
    assert len(orthanc.call("/studies")) == 1
    for instance in orthanc.call("/instances"):
        header = orthanc.object(instance)
        assert header.Manufacturer == "echonode"
        frames = orthanc.call(f"/instances/{instance}/frames")
        assert len(frames) == header.NumberOfFrames
        assert orthanc.call(f"/instances/{instance}/frames/{len(frames) - 1}/preview")[:4] == b"\x89PNG"

    assert orthanc.call("/modalities/echonode/echo", {}) is not None
    uid = str(pydicom.dcmread(next(study.glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID)
    query = orthanc.call(
        "/modalities/echonode/query", {"Level": "Study", "Query": {"StudyInstanceUID": uid, "PatientName": ""}}
    )["ID"]
    assert len(orthanc.call(f"/queries/{query}/answers")) == 1
    orthanc.call(f"/queries/{query}/answers/0/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    wait_until(
        lambda: len(orthanc.call("/instances")) == sources + results, seconds=60, what="sources and results in Orthanc"
    )
