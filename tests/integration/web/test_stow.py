"""STOW-RS against a real web process: what is stored, what is refused and what the client is told of each."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames

from echonode.core.query import StoredInstance
from echonode.dicom.native_xml import native_xml
from echonode.dicom.storage import STORAGE_CLASSES, storage_syntaxes
from tests.integration.dimse.test_corpus import taken_apart
from tests.integration.web.conftest import StartWeb
from tests.support.dimse import EXPLICIT_LE, US, small_object
from tests.support.door import DoorBench
from tests.support.stow import STUDIES, failures, multipart, part10, stored_uids, stow
from tests.support.web import WebProcess

JSON, XML = "application/dicom+json", "application/dicom+xml"
JPEG = "1.2.840.10008.1.2.4.50"


@pytest.fixture
def web(shared_web: WebProcess) -> WebProcess:
    """The module's one process: every test takes instance numbers of its own."""
    return shared_web


def data_set(stored: StoredInstance) -> bytes:
    return Path(stored.path).read_bytes()[stored.dataset_offset :]


def stored_bytes(web: WebProcess, uid: str) -> bytes:
    with web.archive() as archive:
        found = archive.index.instance(uid)
        assert found is not None, f"{uid} is not stored"
        return data_set(found)


def test_objects_are_stored_byte_for_byte_and_named_with_their_addresses(web: WebProcess) -> None:
    answer = stow(web, part10(101), part10(102))
    assert answer.status == 200
    assert answer.headers["content-type"] == JSON
    assert answer.json["00081190"]["Value"] == [f"http://127.0.0.1:{web.port}/dicom-web/studies/1.2.3.9"]
    assert [item["00081190"]["Value"][0].partition("/studies/")[2] for item in answer.json["00081199"]["Value"]] == [
        f"1.2.3.9/series/1.2.3.9.1/instances/1.2.3.9.1.{number}" for number in (101, 102)
    ]
    assert stored_bytes(web, "1.2.3.9.1.102") == small_object(102)[1]
    assert web.files("parts") == []


def test_storing_again_is_success_and_nothing_new(web: WebProcess) -> None:
    """A client that lost the answer sends everything again."""
    before = len(web.files("objects"))
    for _ in range(2):
        answer = stow(web, part10(201), part10(202))
        assert answer.status == 200
        assert stored_uids(answer) == ["1.2.3.9.1.201", "1.2.3.9.1.202"]
    assert len(web.files("objects")) == before + 2
    with web.archive() as archive:
        assert archive.index.versions("1.2.3.9.1.201") == []


def test_what_fails_is_told_one_by_one_and_does_not_hold_up_the_rest(web: WebProcess) -> None:
    stow(web, part10(301))
    answer = stow(
        web,
        part10(301, pixels=bytes([7]) * 64),
        part10(302, sop_class="1.2.840.10008.5.1.4.1.1.481.3"),
        part10(303, syntax="1.2.840.10008.1.2.1.99"),
        b"GET / HTTP/1.1 is no DICOM file, however long it goes on." * 10,
        part10(304),
    )
    assert answer.status == 202
    assert stored_uids(answer) == ["1.2.3.9.1.304"]
    assert failures(answer) == [0x0111, 0x0122, 0xC122, 0xC000]
    assert all(item["00000902"]["Value"][0] for item in answer.json["00081198"]["Value"])
    assert answer.headers["warning"].startswith('299 echonode "4 of 5 not stored: ')


def test_nothing_stored_is_409_and_nothing_at_all_400(web: WebProcess) -> None:
    assert stow(web, part10(402, sop_class="1.2.840.10008.5.1.4.1.1.481.3")).status == 409
    assert stow(web).status == 400


def test_an_object_of_another_study_than_the_paths_is_refused_and_not_kept(web: WebProcess) -> None:
    answer = stow(web, part10(501), part10(502, study="1.2.4"), path=f"{STUDIES}/1.2.3.9")
    assert answer.status == 202
    assert stored_uids(answer) == ["1.2.3.9.1.501"]
    assert failures(answer) == [0xA900]
    with web.archive() as archive:
        assert archive.index.instance("1.2.3.9.1.502") is None
    assert stow(web, part10(501), path=f"{STUDIES}/..%2f..%2fetc").status in (400, 404)


def test_one_file_without_multipart_is_taken_too(web: WebProcess) -> None:
    """`curl --data-binary @file.dcm -H 'Content-Type: application/dicom'`."""
    answer = web.call("POST", STUDIES, body=part10(601), headers={"Content-Type": "application/dicom"})
    assert (answer.status, stored_uids(answer)) == (200, ["1.2.3.9.1.601"])


def test_the_answer_comes_as_xml_when_the_client_asks_so(web: WebProcess) -> None:
    body, headers = multipart(part10(701))
    answer = web.call("POST", STUDIES, body=body, headers={**headers, "Accept": XML})
    assert answer.headers["content-type"].startswith(XML)
    assert b'keyword="ReferencedSOPSequence"' in answer.body


def test_a_body_of_another_kind_is_refused(web: WebProcess) -> None:
    body, _ = multipart(part10(801))
    before = web.files("objects")
    for content_type, status in (
        ("", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="text/html"; boundary=x', 415),
        (f'multipart/related; type="application/dicom"; boundary={"b" * 500}', 400),
        ('multipart/related; type="application/dicom"; boundary=other', 400),
    ):
        answer = web.call("POST", STUDIES, body=body, headers={"Content-Type": content_type})
        assert answer.status == status, content_type
    assert web.files("objects") == before


@pytest.mark.slow
def test_every_real_and_broken_file_is_answered_as_the_c_store_door_answers_it(
    web: WebProcess, shared_data: Path, tmp_path: Path
) -> None:
    files = sorted(path for folder in ("nasty", "ultrasound/single") for path in (shared_data / folder).glob("*.dcm"))
    assert len(files) > 45
    (tmp_path / "bench").mkdir()
    bench, stored = DoorBench(tmp_path / "bench"), dict[Path, str]()
    for path in files:
        answer = stow(web, path.read_bytes())
        sop_class, instance, syntax, data = taken_apart(path)
        named = path.read_bytes()[128:132] == b"DICM" and path.name != "meta_missing_tsyntax.dcm"
        if not named:  # C-STORE names class, instance and syntax itself: there is nothing to compare with
            assert answer.status in (200, 409), path.name
        elif sop_class not in STORAGE_CLASSES:
            assert failures(answer) == [0x0122], path.name
        elif syntax not in storage_syntaxes(deflate=False):
            assert failures(answer) == [0xC122], path.name
        else:
            receipt = bench.send(data, syntax=syntax, sop_class_uid=sop_class, sop_instance_uid=instance)
            assert (failures(answer) or [0]) == [receipt.dicom_status], path.name
        if answer.status == 200:
            stored[path] = stored_uids(answer)[0]
    assert len(stored) > 20
    with web.archive() as archive:
        for path, uid in stored.items():
            first, content = archive.index.instance(uid), path.read_bytes()
            assert first is not None, path.name
            kept = [each for each in (first, *archive.index.versions(uid)) if content.endswith(data_set(each))]
            assert kept, path.name
    assert web.files("parts") == []
    assert stow(web, part10(99)).status == 200
    bench.archive.close()


def test_files_without_preamble_or_file_meta_are_read(web: WebProcess) -> None:
    """Old exports are bare data sets; what they are in is told by their first element."""
    sop, data = small_object(1001)
    assert stored_uids(stow(web, data)) == [sop]
    assert stored_uids(stow(web, part10(1002)[132:])) == ["1.2.3.9.1.1002"]
    assert stored_uids(stow(web, part10(1003)[128:])) == ["1.2.3.9.1.1003"]


def test_a_file_cut_anywhere_is_refused_and_leaves_nothing(web: WebProcess) -> None:
    before = web.files("objects")
    for length in (0, 1, 7, 131, 132, 140, 200, 300, 340):
        answer = stow(web, part10(1101)[:length])
        assert answer.status == 409, length
        assert failures(answer)[0] in (0xC000, 0xA900), length
    assert web.files("parts") == []
    assert web.files("objects") == before


def test_metadata_with_bulk_becomes_the_same_object_every_time(web: WebProcess) -> None:
    pixels, before = bytes(range(64)), len(web.files("objects"))
    body, headers = multipart(
        ({"Content-Type": JSON}, json.dumps([model("1.2.3.9.1.1205")]).encode()),
        ({"Content-Type": "application/octet-stream", "Content-Location": "bulk/1"}, pixels),
        kind=JSON,
    )
    for _ in range(2):
        answer = web.call("POST", STUDIES, body=body, headers=headers)
        assert (answer.status, stored_uids(answer)) == (200, ["1.2.3.9.1.1205"]), answer.body
    assert len(web.files("objects")) == before + 1
    assert web.files("parts") == []
    back = read(web, "1.2.3.9.1.1205")
    assert back.PatientName == "Müller^Jörg"
    assert back.PixelData == pixels
    assert back.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == 0.05
    assert back.file_meta.TransferSyntaxUID == EXPLICIT_LE


def test_compressed_bulk_becomes_fragments_in_the_syntax_that_its_part_names(web: WebProcess) -> None:
    frames = [b"\xff\xd8first\xff\xd9", b"\xff\xd8second!\xff\xd9"]
    for part_type in ("image/jpeg; transfer-syntax=" + JPEG, "image/jpeg"):
        parts = [({"Content-Type": part_type, "Content-Location": "bulk/1"}, frame) for frame in frames]
        body, headers = multipart(
            ({"Content-Type": JSON}, json.dumps([model("1.2.3.9.1.1306", frames=2)]).encode()), *parts, kind=JSON
        )
        answer = web.call("POST", STUDIES, body=body, headers=headers)
        assert (answer.status, stored_uids(answer)) == (200, ["1.2.3.9.1.1306"]), answer.body
    back = read(web, "1.2.3.9.1.1306")
    assert back.file_meta.TransferSyntaxUID == JPEG
    assert [frame.rstrip(b"\0") for frame in generate_frames(back.PixelData, number_of_frames=2)] == frames


def test_native_xml_is_taken(web: WebProcess) -> None:
    inline = model("1.2.3.9.1.1407")
    inline["7FE00010"] = {"vr": "OB", "InlineBinary": base64.b64encode(bytes(64)).decode()}
    body, headers = multipart(native_xml(inline), kind=XML)
    answer = web.call("POST", STUDIES, body=body, headers=headers)
    assert (answer.status, stored_uids(answer)) == (200, ["1.2.3.9.1.1407"]), answer.body
    back = read(web, "1.2.3.9.1.1407")
    assert (back.PatientName, back.PixelData, back.Rows) == ("Müller^Jörg", bytes(64), 8)


def test_bulk_that_is_not_there_is_never_fetched(web: WebProcess) -> None:
    """A BulkDataURI could name the web's own files or another machine."""
    for uri in ("file:///etc/passwd", "http://127.0.0.1:1/", "../../etc/passwd"):
        wanted = model("1.2.3.9.1.1508")
        wanted["7FE00010"]["BulkDataURI"] = uri
        body, headers = multipart(json.dumps([wanted]).encode(), kind=JSON)
        answer = web.call("POST", STUDIES, body=body, headers=headers)
        assert (answer.status, failures(answer)) == (409, [0xC000])


def test_a_large_object_is_never_in_memory(web: WebProcess) -> None:
    """A stress study has clips of a gigabyte."""
    sop, data = small_object(1801, pixels=bytes(48 << 20))
    whole = part10(1801, pixels=bytes(48 << 20))
    assert len(whole) > len(data)
    before = web.peak()
    assert stored_uids(stow(web, whole)) == [sop]
    assert web.peak() < before + (16 << 20)


def test_a_disk_without_room_refuses_before_anything_is_read(start_web: StartWeb) -> None:
    web = start_web(full=True)
    answer = stow(web, part10(1))
    assert answer.status == 507
    assert web.files("objects") == web.files("parts") == []


def test_objects_that_come_this_way_are_planned_and_audited_as_any_other(web: WebProcess) -> None:
    stow(web, part10(1701, study="1.2.3.17"))
    with web.archive() as archive:
        assert archive.index.instance("1.2.3.9.1.1701") is not None
        rows = archive.audit.story("1.2.3.17")
        assert [(row.event, row.who) for row in rows] == [("stored", "web")]


def model(uid: str, *, frames: int = 1) -> dict[str, dict[str, object]]:
    return {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080016": {"vr": "UI", "Value": [US]},
        "00080018": {"vr": "UI", "Value": [uid]},
        "00080060": {"vr": "CS", "Value": ["US"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "00186011": {
            "vr": "SQ",
            "Value": [{"0018602C": {"vr": "FD", "Value": [0.05]}, "00186012": {"vr": "US", "Value": [1]}}],
        },
        "0020000D": {"vr": "UI", "Value": ["1.2.3.9"]},
        "0020000E": {"vr": "UI", "Value": ["1.2.3.9.1"]},
        "00280002": {"vr": "US", "Value": [1]},
        "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
        "00280008": {"vr": "IS", "Value": [frames]},
        "00280010": {"vr": "US", "Value": [8]},
        "00280011": {"vr": "US", "Value": [8]},
        "00280100": {"vr": "US", "Value": [8]},
        "00280101": {"vr": "US", "Value": [8]},
        "00280102": {"vr": "US", "Value": [7]},
        "00280103": {"vr": "US", "Value": [0]},
        "7FE00010": {"vr": "OB", "BulkDataURI": "bulk/1"},
    }


def read(web: WebProcess, uid: str) -> FileDataset:
    """The stored object as pydicom reads it."""
    with web.archive() as archive:
        found = archive.index.instance(uid)
        assert found is not None
        return pydicom.dcmread(found.path)
