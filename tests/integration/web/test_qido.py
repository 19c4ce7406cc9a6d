"""QIDO-RS and metadata over HTTP: what a viewer sees of what is stored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
from pydicom.dataset import Dataset

from echonode.core.received import Origin, ReceivedObject
from echonode.dicom.part10 import part10_head
from echonode.node import open_archive, open_blobs, open_ingest
from tests.support.door import EXPLICIT, encoded, picture
from tests.support.web import Answer, WebProcess

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
EVIL = '<script>"&\r\nSet-Cookie: x'
XML = 'multipart/related; type="application/dicom+xml"'
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def store(process: WebProcess, *datasets: Dataset) -> None:
    """Put objects into the process's archive through the ingest door."""
    configuration = process.configuration
    archive, blobs = open_archive(configuration, migrate=True), open_blobs(configuration)
    door = open_ingest(configuration, archive)
    for dataset in datasets:
        content = encoded(dataset)
        head = part10_head(sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=EXPLICIT)
        part = blobs.new_part()
        part.write_bytes(head + content)
        receipt = door.accept(
            ReceivedObject(
                part=part, dataset_offset=len(head), size=len(content), sha256=hashlib.sha256(content).hexdigest(),
                sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=EXPLICIT, origin=Origin.IMPORT,
            )
        )  # fmt: skip
        assert receipt.accepted
    archive.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """Three studies of two patients: 1.1 has two series, the first of two objects; 1.3 has names that bite."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder: Path = tmp_path_factory.mktemp("qido")
    process = WebProcess(folder, port=port, web="max_results = 3")
    later = {"StudyDate": "20260301", "AccessionNumber": "A2"}
    store(
        process,
        picture("1.1.1.1", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", InstanceNumber="1", FrameTime="33.3"),
        picture("1.1.1.2", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", InstanceNumber="2"),
        picture("1.1.2.1", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.2", Modality="SR", PixelData=None),
        picture("1.2.1.1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1", **later),
        picture(
            "1.3.1.1", StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", PatientID="P2", PatientName="Björk^Åsa=日本",
            StudyDescription=EVIL,
        ),
    )  # fmt: skip
    process.start()
    yield process
    process.close()


def search(node: WebProcess, path: str, accept: str = "application/dicom+json", **query: Any) -> Answer:
    text = f"?{urlencode(query, doseq=True)}" if query else ""
    return node.call("GET", f"/dicom-web{path}{text}", headers={"Accept": accept})


def uids(answer: Answer, tag: str) -> list[str]:
    assert answer.status == 200, answer.body
    return [each[tag]["Value"][0] for each in answer.json]


@pytest.mark.parametrize(
    ("path", "tag", "expected"),
    [
        ("/studies", STUDY, ["1.1", "1.2", "1.3"]),
        ("/series", SERIES, ["1.1.1", "1.1.2", "1.2.1"]),
        ("/instances", INSTANCE, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("/studies/1.1/series", SERIES, ["1.1.1", "1.1.2"]),
        ("/studies/1.1/instances", INSTANCE, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("/studies/1.1/series/1.1.1/instances", INSTANCE, ["1.1.1.1", "1.1.1.2"]),
        ("/studies/9/series", SERIES, []),
    ],
)
def test_every_path_of_the_standard(node: WebProcess, path: str, tag: str, expected: list[str]) -> None:
    answer = search(node, path)
    assert answer.headers["content-type"] == "application/dicom+json"
    assert uids(answer, tag) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"PatientID": "P1"}, ["1.1", "1.2"]),
        ({"00100020": "P2"}, ["1.3"]),
        ({"PatientName": "echo*"}, ["1.1", "1.2"]),
        ({"PatientName": "bjork asa", "fuzzymatching": "true"}, ["1.3"]),
        ({"PatientName": "ADA ec", "fuzzymatching": "true"}, ["1.1", "1.2"]),
        ({"PatientName": "da", "fuzzymatching": "true"}, []),
        ({"PatientName": "日本", "fuzzymatching": "true"}, ["1.3"]),
        ({"StudyDate": "20260201-"}, ["1.2"]),
        ({"StudyInstanceUID": "1.1,1.3"}, ["1.1", "1.3"]),
        ({"StudyInstanceUID": "1.1\\1.3"}, ["1.1", "1.3"]),
        ({"StudyInstanceUID": ["1.1", "1.3"]}, ["1.1", "1.3"]),
        ({"ModalitiesInStudy": "SR"}, ["1.1"]),
        ({"ModalitiesInStudy": "SR,US"}, ["1.1", "1.2", "1.3"]),
        ({"PatientID": ""}, ["1.1", "1.2", "1.3"]),
        ({"StudyDescription": "*script*"}, ["1.3"]),
        ({"PatientID": "' OR 1=1 --"}, []),
        ({"limit": 1}, ["1.1"]),
        ({"limit": 1, "offset": 2}, ["1.3"]),
        ({"offset": 7}, []),
        ({"limit": 0}, []),
    ],
)
def test_matching(node: WebProcess, query: dict[str, Any], expected: list[str]) -> None:
    assert uids(search(node, "/studies", **query), STUDY) == expected


@pytest.mark.parametrize(
    ("query", "total"),
    [({}, 3), ({"limit": 1}, 3), ({"limit": 1, "offset": 1}, 3), ({"offset": 9}, 3), ({"limit": 0}, 3),
     ({"PatientID": "P1", "limit": 1}, 2), ({"StudyDescription": "*script*", "limit": 1}, 1), ({"PatientID": "x"}, 0)],
)  # fmt: skip
def test_the_total_is_told_whatever_the_page(node: WebProcess, query: dict[str, Any], total: int) -> None:
    assert search(node, "/studies", **query).headers["x-total-count"] == str(total)


def test_a_cut_answer_says_so(node: WebProcess) -> None:
    whole, cut = search(node, "/studies"), search(node, "/instances")
    assert "warning" not in whole.headers
    assert re.fullmatch(r'299 127\.0\.0\.1:\d+ "there are 5 matches, .*"', cut.headers["warning"])
    assert len(cut.json) == 3


def test_what_an_answer_holds(node: WebProcess) -> None:
    (study,) = search(node, "/studies", StudyInstanceUID="1.1").json
    assert study["00081190"]["Value"] == [f"http://127.0.0.1:{node.port}/dicom-web/studies/1.1"]
    assert study["00080061"]["Value"] == ["SR", "US"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([2], [3])
    assert study["00100010"]["Value"] == [{"Alphabetic": "Echo^Ada"}]
    assert list(study) == sorted(study)
    first = search(node, "/studies/1.1/series/1.1.1/instances").json[0]
    assert first["00081190"]["Value"][0].endswith("/studies/1.1/series/1.1.1/instances/1.1.1.1")
    assert first["00280010"] == {"vr": "US", "Value": [4]}
    assert "00100010" not in first, "the path names the study: nobody asked for the patient again"
    assert "00100010" in search(node, "/instances").json[0]


def test_fields_that_are_asked_for(node: WebProcess) -> None:
    path, at = "/studies/1.1/instances", {"SOPInstanceUID": "1.1.1.1"}
    assert "00181063" not in search(node, path, **at).json[0]
    for name in ("FrameTime", "00181063"):
        assert search(node, path, includefield=name, **at).json[0]["00181063"]["Value"] == [33.3]
    assert search(node, path, FrameTime="33.3").json[0]["00181063"]["Value"] == [33.3], "a key is answered too"
    assert search(node, path, includefield="BitsStored,HighBit", **at).json[0]["00280102"]["Value"] == [7]
    every = search(node, path, includefield="all", **at).json[0]
    assert every["7FE00010"]["BulkDataURI"].endswith("/studies/1.1/series/1.1.1/instances/1.1.1.1/bulkdata/7FE00010")
    assert every["00100010"]["Value"] == [{"Alphabetic": "Echo^Ada"}]


@pytest.mark.parametrize(
    "query",
    [{"PatientNmae": "x"}, {"limit": "-1"}, {"limit": "x"}, {"limit": [1, 2]}, {"offset": "1e3"}, {"StudyDate": "today"},
     {"fuzzymatching": "maybe"}, {"StudyInstanceUID": "1.*"}, {"includefield": "../../etc"}, {"PatientID": ["a", "b"]},
     {"PatientID": "a", "00100020": "a"}, {"x.y": "1"}, {"PatientID": "a" * 5000}],
    ids=lambda query: str(query)[:30],
)  # fmt: skip
def test_what_is_no_query_is_refused(node: WebProcess, query: dict[str, Any]) -> None:
    answer = search(node, "/studies", **query)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"


def test_bytes_that_are_no_text_are_refused(node: WebProcess) -> None:
    for query in ("PatientName=%ff%fe", "PatientID=%"):
        assert node.call("GET", f"/dicom-web/studies?{query}").status in (200, 400)
    assert node.call("GET", "/dicom-web/studies?PatientName=%ff%fe").status == 400


def test_keys_that_are_not_matched_on_are_named(node: WebProcess) -> None:
    answer = search(node, "/studies", Rows="4", **{"RequestAttributesSequence.AccessionNumber": "x"})
    assert uids(answer, STUDY) == ["1.1", "1.2", "1.3"]
    assert "Rows" in answer.headers["warning"]


def test_a_path_and_a_key_that_contradict_each_other(node: WebProcess) -> None:
    assert search(node, "/studies/1.1/series", StudyInstanceUID="1.2").status == 400
    assert uids(search(node, "/studies/1.1/series", StudyInstanceUID="1.1"), SERIES) == ["1.1.1", "1.1.2"]


@pytest.mark.parametrize(
    "path", ["/studies/../x/series", f"/studies/{quote(EVIL)}/series", "/studies/1.1'--/instances"]
)
def test_paths_that_are_no_uids(node: WebProcess, path: str) -> None:
    answer = search(node, path)
    assert answer.status in (400, 404)
    assert "set-cookie" not in answer.headers


def test_xml_parts_hold_the_same(node: WebProcess) -> None:
    answer = search(node, "/studies", accept=XML)
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    parts = answer.body.split(b"--" + boundary)[1:-1]
    assert len(parts) == 3
    document = ElementTree.fromstring(parts[2].partition(b"\r\n\r\n")[2])
    found = {element.get("keyword"): element for element in document.iter(f"{NATIVE}DicomAttribute")}
    assert found["StudyInstanceUID"].findtext(f"{NATIVE}Value") == "1.3"
    assert found["PatientName"].findtext(f".//{NATIVE}Ideographic/{NATIVE}FamilyName") == "日本"
    assert (found["StudyDescription"].findtext(f"{NATIVE}Value") or "").startswith('<script>"&')
    assert b"<script>" not in answer.body


def test_what_cannot_be_had_is_refused_with_what_can(node: WebProcess) -> None:
    for path in ("/studies", "/studies/1.1/metadata"):
        answer = search(node, path, accept="image/png")
        assert (answer.status, "application/dicom+json" in answer.body.decode()) == (406, True)


def test_metadata_of_a_study(node: WebProcess) -> None:
    answer = search(node, "/studies/1.1/metadata")
    assert uids(answer, INSTANCE) == ["1.1.1.1", "1.1.1.2", "1.1.2.1"]
    pixels = answer.json[1]["7FE00010"]["BulkDataURI"]
    base = f"http://127.0.0.1:{node.port}/dicom-web/studies/1.1"
    assert pixels == f"{base}/series/1.1.1/instances/1.1.1.2/bulkdata/7FE00010"
    assert uids(search(node, "/studies/1.1/series/1.1.2/metadata"), INSTANCE) == ["1.1.2.1"]
    assert uids(search(node, "/studies/1.1/series/1.1.1/instances/1.1.1.2/metadata"), INSTANCE) == ["1.1.1.2"]
    for wrong in ("/studies/9/metadata", "/studies/1.1/series/9/metadata", "/studies/1.2/series/1.1.1/metadata"):
        assert search(node, wrong).status == 404


def test_metadata_in_xml(node: WebProcess) -> None:
    answer = search(node, "/studies/1.3/metadata", accept=XML)
    assert answer.status == 200
    assert 'type="application/dicom+xml"' in answer.headers["content-type"]
    assert b"BulkData uri=" in answer.body
    assert b"<script>" not in answer.body


def test_metadata_that_a_client_has_is_not_sent_again(node: WebProcess) -> None:
    path = "/dicom-web/studies/1.1/metadata"
    tag = node.call("GET", path).headers["etag"]
    again = node.call("GET", path, headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    assert node.call("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    assert node.call("GET", path, headers={"If-None-Match": tag, "Accept": XML}).status == 200


def test_head_has_no_body(node: WebProcess) -> None:
    for path in ("/dicom-web/studies", "/dicom-web/studies/1.1/metadata"):
        answer = node.call("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")


def test_metadata_of_a_large_study_comes_in_pieces_and_whole(start_web: Any) -> None:
    process = start_web()
    many = [picture(f"5.1.{number}", StudyInstanceUID="5", SeriesInstanceUID="5.1") for number in range(1, 131)]
    store(process, *many)
    answer = search(process, "/studies/5/metadata")
    assert uids(answer, INSTANCE) == [f"5.1.{number}" for number in range(1, 131)]
    xml = search(process, "/studies/5/metadata", accept=XML)
    assert xml.body.count(b"<NativeDicomModel") == 130
