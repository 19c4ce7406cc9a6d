"""Orthanc as a DICOMweb peer, both ways: it searches, fetches and stores here; our slow loops go to it by STOW-RS."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.acceptance.conftest import RunningNode, listens
from tests.acceptance.test_studies import push
from tests.support.orthanc import Orthanc
from tests.support.waiting import wait_until

PLUGINS = (Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"), Path("/usr/lib/orthanc/libOrthancDicomWeb.so"))
NO_ROUTE = ""


class Site:
    """An Orthanc with its DICOMweb plugin that knows a node's address."""

    def __init__(self, orthanc: Orthanc, url: str, web_port: int) -> None:
        self.orthanc, self.url, self.web_port = orthanc, url, web_port

    def upload(self, path: Path) -> str:
        request = urllib.request.Request(f"{self.url.removesuffix('/dicom-web')}/instances", data=path.read_bytes())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["ID"])

    def objects(self) -> dict[str, bytes]:
        """Files in Orthanc by SOP Instance UID."""
        files = [self.orthanc.call(f"/instances/{name}/file") for name in self.orthanc.call("/instances")]
        return {str(pydicom.dcmread(BytesIO(file), stop_before_pixels=True).SOPInstanceUID): file for file in files}


@pytest.fixture
def site(
    tmp_path: Path,
    free_port: Callable[[], int],
    start: Callable[..., subprocess.Popen[bytes]],
    program: Callable[[str], str],
) -> Site:
    plugin = next((path for path in PLUGINS if path.exists()), None)
    if plugin is None:
        pytest.skip("orthanc-dicomweb is not installed on this machine")
    http, dicom, web = free_port(), free_port(), free_port()
    node = {"Url": f"http://127.0.0.1:{web}/dicom-web/", "HasWadoRsUniversalTransferSyntax": True}
    settings = {
        "Name": "pacs", "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"), "DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False,
        "Plugins": [str(plugin)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {"echonode": node}},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    start(program("Orthanc"), str(tmp_path / "orthanc.json"), log=tmp_path / "orthanc.log", env={"TCP_NODELAY": "1"})
    wait_until(lambda: listens(http) and listens(dicom), seconds=60, what="Orthanc to listen")
    return Site(Orthanc(http, dicom), f"http://127.0.0.1:{http}/dicom-web", web)


def data_set(file: bytes) -> bytes:
    """A Part 10 file after its file meta, which every node writes anew."""
    with BytesIO(file) as stream:
        pydicom.filereader.read_preamble(stream, force=False)
        pydicom.filereader._read_file_meta_info(stream)
        return stream.read()


def fetched(port: int, path: str, accept: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/dicom-web{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_orthanc_searches_fetches_and_stores_here_byte_for_byte(
    site: Site, node: Callable[..., RunningNode], shared_data: Path, program: Callable[[str], str]
) -> None:
    running = node(pacs_port=site.orthanc.dicom, pacs_title="ORTHANC", routes=NO_ROUTE, web_port=site.web_port)
    files = sorted((shared_data / "ultrasound" / "adult_xario").glob("*.dcm"))
    sources = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in files}
    push(program("storescu"), running, files[0].parent)
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)

    found = site.orthanc.call(
        "/dicom-web/servers/echonode/qido", {"Uri": "/studies", "Arguments": {"StudyInstanceUID": uid}}
    )
    assert [study["0020000D"]["Value"] for study in _plain(found)] == [uid]

    site.orthanc.call("/dicom-web/servers/echonode/retrieve", {"Resources": [{"Study": uid}], "Synchronous": True})
    arrived = site.objects()
    assert arrived.keys() == sources.keys()
    for name, file in arrived.items():
        assert data_set(file) == data_set(sources[name].read_bytes()), name

    stress = sorted((shared_data / "ultrasound" / "stress_acuson").glob("*.dcm"))[:3]
    ids = [site.upload(path) for path in stress]
    site.orthanc.call("/dicom-web/servers/echonode/stow", {"Resources": ids, "Synchronous": True})
    for path in stress:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        place = (
            f"/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}/instances/{header.SOPInstanceUID}"
        )
        stored = fetched(site.web_port, place, "application/dicom; transfer-syntax=*")
        assert data_set(stored) == data_set(path.read_bytes()), path.name


@pytest.mark.slow
def test_slow_motion_goes_to_orthanc_by_stow_and_reads_back_the_same(
    site: Site, node: Callable[..., RunningNode], shared_data: Path, program: Callable[[str], str]
) -> None:
    running = node(pacs_port=site.orthanc.dicom, pacs_title="ORTHANC", web_port=site.web_port, dicomweb=site.url)
    push(program("storescu"), running, shared_data / "ultrasound" / "adult_xario")
    wait_until(lambda: site.orthanc.call("/instances"), seconds=240, what="the loop in Orthanc")
    ((uid, file),) = site.objects().items()
    loop = pydicom.dcmread(BytesIO(file))
    assert loop.Manufacturer == "echonode"
    place = f"/studies/{loop.StudyInstanceUID}/series/{loop.SeriesInstanceUID}/instances/{uid}"
    assert data_set(fetched(site.web_port, place, "application/dicom; transfer-syntax=*")) == data_set(file)

    read = _plain(site.orthanc.call(f"/dicom-web{place}/metadata"))[0]
    assert read["00280008"]["Value"] == [loop.NumberOfFrames]
    deliveries = wait_until(
        lambda: [item for item in running.work("--kind", "deliver") if item["state"] == "COMPLETED"],
        "the delivery to be written down",
    )
    assert [item["outcome"]["result"] for item in deliveries] == ["delivered"]
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{site.web_port}/metrics", timeout=30).read().decode()
    assert 'echonode_deliveries_total{destination="pacs",outcome="delivered"} 1.0' in metrics
    assert 'echonode_runs_total{model="optical-flow",outcome="published"} 1.0' in metrics
    assert 'echonode_objects_total{origin="dimse",verdict="stored"} 4.0' in metrics
    with urllib.request.urlopen(f"http://127.0.0.1:{site.web_port}/health/ready", timeout=30) as ready:
        assert json.load(ready)["status"] == "ready"


def _plain(content: Any) -> list[dict[str, Any]]:
    """DICOM JSON, also where Orthanc does not call it JSON."""
    found: list[dict[str, Any]] = json.loads(content) if isinstance(content, bytes) else content
    return found
