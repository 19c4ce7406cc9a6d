"""Orthanc as the PACS: results arrive and open there, and Orthanc's own query and retrieve works against the node."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.acceptance.conftest import RunningNode, listens
from tests.acceptance.test_studies import push
from tests.support.waiting import wait_until


class Orthanc:
    """A running Orthanc and its REST interface."""

    def __init__(self, http: int, dicom: int) -> None:
        self.dicom = dicom
        self._root = f"http://127.0.0.1:{http}"

    def call(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data=data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content

    def put(self, path: str, body: Any) -> None:
        request = urllib.request.Request(self._root + path, data=json.dumps(body).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=60).close()


@pytest.fixture
def orthanc(
    tmp_path: Path,
    free_port: Callable[[], int],
    start: Callable[..., subprocess.Popen[bytes]],
    program: Callable[[str], str],
) -> Orthanc:
    http, dicom = free_port(), free_port()
    settings = {
        "Name": "pacs", "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"), "DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False,
        "DicomModalities": {}, "Plugins": [],
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    start(program("Orthanc"), str(tmp_path / "orthanc.json"), log=tmp_path / "orthanc.log", env={"TCP_NODELAY": "1"})
    wait_until(lambda: listens(http) and listens(dicom), seconds=60, what="Orthanc to listen")
    return Orthanc(http, dicom)


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
        header = pydicom.dcmread(_bytes(orthanc.call(f"/instances/{instance}/file")))
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


def _bytes(content: bytes) -> Any:
    from io import BytesIO

    return BytesIO(content)
