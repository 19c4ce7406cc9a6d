"""What the door promises a sender: kept bit for bit, once, and never lost."""

from __future__ import annotations

import threading
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from echonode.archive.blobs import blob_name
from echonode.core.errors import OutOfStorage, StorageUnavailable
from echonode.core.facts import Facts
from echonode.core.received import Origin, Verdict
from echonode.core.work import WorkRequest
from echonode.flow.orphans import sweep_orphans
from echonode.flow.quarantine import discard, resubmit
from tests.support.door import EXPLICIT, DoorBench, encoded, picture

STATUS_OK, CONFLICT, UNREADABLE, MISMATCH = 0x0000, 0x0111, 0xC000, 0xA900


def test_original_bytes_are_kept_bit_for_bit(door: DoorBench) -> None:
    content = encoded(picture()) + b"\0\0"  # with padding that no writer of ours would make
    receipt = door.send(content)
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.STORED, STATUS_OK)
    assert door.stored_bytes("1.2.3.4") == content
    assert not door.files("parts")


def test_one_transaction_holds_rows_audit_and_work(door: DoorBench) -> None:
    door.send(picture())
    assert [row.event for row in door.archive.audit.story("1.2.3")] == ["stored"]
    (item,) = door.archive.work.list()
    assert item.sop_instance_uid == "1.2.3.4"
    assert item.correlation_id == "association-1", "the id of the association must be in every workitem of its loops"


def test_the_same_bytes_again_are_a_success_and_nothing_new(door: DoorBench) -> None:
    for _ in range(3):
        receipt = door.send(picture())
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.DUPLICATE, STATUS_OK)
    assert door.archive.index.totals()["instances"] == 1
    assert len(door.files("objects")) == 1
    assert len(door.archive.work.list()) == 1


def test_a_coerced_header_is_kept_as_a_version_and_the_first_stays_current(door: DoorBench) -> None:
    door.send(picture())
    receipt = door.send(picture(PatientName="Echo^Augusta"))
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.VERSION, STATUS_OK)
    assert door.stored_bytes("1.2.3.4") == encoded(picture())
    (version,) = door.archive.index.versions("1.2.3.4")
    assert Path(version.path).read_bytes()[version.dataset_offset :] == encoded(picture(PatientName="Echo^Augusta"))
    again = door.send(picture(PatientName="Echo^Augusta"))
    assert again.verdict is Verdict.DUPLICATE, "a version that is sent again is nothing new either"
    assert len(door.archive.work.list()) == 1


def test_another_transfer_syntax_of_the_same_object_is_a_version(door: DoorBench) -> None:
    door.send(picture())
    receipt = door.send(picture(), syntax=str(ImplicitVRLittleEndian))
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.VERSION, STATUS_OK)


def test_a_jpeg_loop_that_a_pacs_decompressed_is_a_version(door: DoorBench) -> None:
    loop = pydicom.dcmread(get_testdata_file("examples_ybr_color.dcm"))
    door.send(encoded(loop, loop.file_meta.TransferSyntaxUID), syntax=str(JPEGBaseline8Bit))
    loop.decompress(as_rgb=True, generate_instance_uid=False)
    receipt = door.send(loop)
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.VERSION, STATUS_OK), receipt.detail
    darker = bytes(max(value - 3, 0) for value in loop.PixelData)
    loop.PixelData = darker
    conflict = door.send(loop)
    assert conflict.dicom_status == CONFLICT, "other pixels must not pass as another decoder's"


def test_other_pixels_under_a_known_uid_lose_nothing(door: DoorBench) -> None:
    door.send(picture())
    receipt = door.send(picture(PixelData=bytes(16)))
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.CONFLICT, CONFLICT)
    assert door.stored_bytes("1.2.3.4") == encoded(picture()), "the first stays"
    (held,) = door.archive.quarantine.list()
    kept = door.blobs.quarantined(held.blob).read_bytes()[held.dataset_offset :]
    assert kept == encoded(picture(PixelData=bytes(16))), "the second is kept apart"
    sweep_orphans(door.archive, door.blobs, older_than=-1)
    assert len(door.files("objects")) == 1


def test_reports_have_no_pixels_so_any_other_content_is_a_conflict(door: DoorBench) -> None:
    report = picture(PixelData=None, Rows=None, Columns=None)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    door.send(report)
    same = door.send(report, syntax=str(ImplicitVRLittleEndian))
    assert same.verdict is Verdict.VERSION, "the same report in another transfer syntax is no conflict"
    report.CompletionFlag = "COMPLETE"
    assert door.send(report).dicom_status == CONFLICT


def test_byte_identical_data_sets_of_two_transfer_syntaxes_do_not_collide(door: DoorBench) -> None:
    report = encoded(picture(PixelData=None))
    door.send(report)
    receipt = door.send(report, syntax=str(JPEGBaseline8Bit))
    assert receipt.dicom_status == STATUS_OK
    first = door.archive.index.instance("1.2.3.4")
    (version,) = door.archive.index.versions("1.2.3.4")
    assert first is not None
    assert first.path != version.path
    assert pydicom.dcmread(version.path).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert pydicom.dcmread(first.path).file_meta.TransferSyntaxUID == EXPLICIT


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 64,
        b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n",
        encoded(picture())[:-4],
        encoded(picture(SOPInstanceUID=None)),
        encoded(picture(StudyInstanceUID=None)),
        encoded(picture(SeriesInstanceUID=None)),
        encoded(picture(SOPClassUID=None)),
    ],
    ids=["empty", "zeros", "http", "cut-off", "no-instance", "no-study", "no-series", "no-class"],
)
def test_what_cannot_be_read_is_kept_with_its_reason(door: DoorBench, content: bytes) -> None:
    receipt = door.send(content)
    assert (receipt.verdict, receipt.dicom_status) == (Verdict.QUARANTINED, UNREADABLE)
    (held,) = door.archive.quarantine.list()
    assert held.reason
    assert door.blobs.quarantined(held.blob).read_bytes()[held.dataset_offset :] == content
    assert door.archive.index.totals()["studies"] == 0
    door.send(content)
    assert [held.count for held in door.archive.quarantine.list()] == [2], "a sender that tries for ever fills no disk"


@pytest.mark.parametrize("uid", ["../../../etc/cron.d/x", "1.2.3\0", "1." * 40, "/etc/passwd", "1.2.x", "１.２"])
def test_no_path_is_ever_built_from_a_uid(door: DoorBench, uid: str) -> None:
    before = encoded(picture("1.2.3.4.5.6.7.8"))
    raw = uid.encode()[:64]
    padded = raw + b"\0" * (len(raw) % 2)
    at = before.index(b"\x08\x00\x18\x00UI")
    length = int.from_bytes(before[at + 6 : at + 8], "little")
    content = before[: at + 6] + len(padded).to_bytes(2, "little") + padded + before[at + 8 + length :]
    receipt = door.send(content, sop_instance_uid=uid)
    assert receipt.dicom_status in (UNREADABLE, MISMATCH)
    inside = {path.name for path in door.files("objects") + door.files("quarantine")}
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in inside)
    assert not door.files("objects")


def test_a_command_that_names_another_object_is_refused_and_kept(door: DoorBench) -> None:
    for values in ({"sop_instance_uid": "1.2.9"}, {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}):
        receipt = door.send(picture(), **values)
        assert (receipt.verdict, receipt.dicom_status) == (Verdict.QUARANTINED, MISMATCH)
    assert door.archive.index.totals()["instances"] == 0
    assert [held.count for held in door.archive.quarantine.list()] == [2]


def test_deep_nesting_is_quarantined_and_never_walked(door: DoorBench) -> None:
    inner = Dataset()
    for _ in range(70):
        outer = Dataset()
        outer.ContentSequence = [inner]
        inner = outer
    receipt = door.send(picture(ContentSequence=[inner]))
    assert receipt.dicom_status == UNREADABLE
    assert "nested" in receipt.detail


def test_a_deflated_object_is_stored_and_a_bomb_harms_nothing(door: DoorBench) -> None:
    def deflated(content: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packer.compress(content) + packer.flush()

    content = deflated(encoded(picture()))
    assert door.send(content, syntax=str(DeflatedExplicitVRLittleEndian)).verdict is Verdict.STORED
    assert door.stored_bytes("1.2.3.4") == content
    bomb = deflated(bytes(100 << 20))
    assert door.send(bomb, syntax=str(DeflatedExplicitVRLittleEndian)).dicom_status == UNREADABLE


def test_low_disk_is_refused_before_any_data_is_read(tmp_path: Path) -> None:
    door = DoorBench(tmp_path, refuse_below_bytes=1 << 60)
    with pytest.raises(OutOfStorage) as refusal:
        door.ingest.precheck(0)
    assert refusal.value.dicom_status == 0xA700
    door.archive.close()


def test_a_full_disk_gives_a_retryable_answer_and_leaves_nothing(
    door: DoorBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = door.received(encoded(picture()))

    def full(*_: object, **__: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(door.blobs, "adopt", full)
    with pytest.raises(StorageUnavailable):
        door.ingest.accept(received)
    assert not received.part.exists()
    monkeypatch.undo()
    assert door.send(picture()).verdict is Verdict.STORED, "the sender's next try must succeed"


def test_a_planner_that_fails_costs_no_object(tmp_path: Path) -> None:
    def broken(_: Facts) -> list[WorkRequest]:
        raise KeyError("a rule of ours")

    door = DoorBench(tmp_path, planner=broken)
    assert door.send(picture()).verdict is Verdict.STORED
    (row,) = door.archive.audit.story("1.2.3")
    assert "planning failed" in row.details["doubt"]
    door.archive.close()


def test_own_results_are_never_planned_also_when_a_pacs_sends_them_back(door: DoorBench) -> None:
    door.send(picture(), origin=Origin.DERIVED)
    assert door.archive.work.list() == []
    back = door.send(picture(InstitutionName="PACS was here"), origin=Origin.DIMSE)
    assert back.verdict is Verdict.VERSION
    assert door.archive.work.list() == []
    stored = door.archive.index.instance("1.2.3.4")
    assert stored is not None
    assert stored.derived


def test_two_associations_that_store_one_uid_at_once_end_as_one(door: DoorBench) -> None:
    objects = [picture(), picture(), picture(PatientName="X^Y"), picture(PixelData=bytes(16))] * 4
    parts = [door.received(encoded(each), correlation_id=f"a{number}") for number, each in enumerate(objects)]
    receipts, start = [], threading.Barrier(len(parts))

    def store(number: int) -> None:
        start.wait()
        receipts.append(door.ingest.accept(parts[number]))

    threads = [threading.Thread(target=store, args=(number,)) for number in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == len(parts)
    assert sum(receipt.verdict is Verdict.STORED for receipt in receipts) == 1
    assert door.archive.index.totals()["instances"] == 1
    assert len(door.archive.work.list()) == 1
    assert not door.files("parts")
    sweep_orphans(door.archive, door.blobs, older_than=-1)
    kept = len(door.files("objects")) + len(door.files("quarantine"))
    assert kept == 3, "three different contents came in and all three are kept"


def test_a_uid_that_moves_to_another_study_leaves_no_empty_study_behind(door: DoorBench) -> None:
    door.send(picture())
    receipt = door.send(picture(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"))
    assert receipt.verdict is Verdict.VERSION
    assert door.archive.index.totals()["studies"] == 1
    assert door.archive.index.totals()["series"] == 1


def test_a_file_left_by_a_crash_before_the_commit_is_used_when_the_sender_tries_again(door: DoorBench) -> None:
    content = encoded(picture())
    crashed = door.received(content, source_ae="LONGER_AE_TITLE")
    first = door.received(content)
    door.blobs.adopt(crashed.part, sha256=blob_name(crashed.sha256, crashed.transfer_syntax_uid))
    assert door.ingest.accept(first).verdict is Verdict.STORED
    assert door.stored_bytes("1.2.3.4") == content, "the file's own head counts, not the second sender's"


def test_orphans_are_swept_and_rows_keep_their_files(door: DoorBench) -> None:
    door.send(picture())
    door.send(b"garbage that lies in quarantine")
    lost = door.received(encoded(picture("1.2.5")))
    door.blobs.adopt(lost.part, sha256=blob_name(lost.sha256, EXPLICIT))
    assert sweep_orphans(door.archive, door.blobs).objects == 0, "a young file may be on its way into the index"
    swept = sweep_orphans(door.archive, door.blobs, older_than=-1)
    assert (swept.objects, swept.quarantined) == (1, 0)
    assert len(door.files("objects")) == 1
    assert door.send(picture()).verdict is Verdict.DUPLICATE


def test_a_quarantined_object_goes_through_the_door_again(tmp_path: Path) -> None:
    strict = DoorBench(tmp_path, nesting=4)
    dataset = picture()
    for depth in range(5):
        inner, dataset = dataset, picture(f"1.2.3.4.{depth}")
        inner.PixelData = b""
        dataset.ContentSequence = [inner]
    assert strict.send(dataset).verdict is Verdict.QUARANTINED
    (held,) = strict.archive.quarantine.list()
    still = resubmit(held.id, archive=strict.archive, blobs=strict.blobs, ingest=strict.ingest)
    assert still.verdict is Verdict.QUARANTINED
    assert strict.files("quarantine"), "what is refused again stays"
    strict.archive.close()
    door = DoorBench(tmp_path)
    receipt = resubmit(held.id, archive=door.archive, blobs=door.blobs, ingest=door.ingest, by="ada")
    assert receipt.verdict is Verdict.STORED
    assert door.archive.quarantine.list() == []
    assert not door.files("quarantine")
    assert door.stored_bytes("1.2.3.4.4") == encoded(dataset)
    door.archive.close()


def test_a_discarded_object_leaves_its_audit_row(door: DoorBench) -> None:
    door.send(b"garbage" * 4)
    (held,) = door.archive.quarantine.list()
    discard(held.id, archive=door.archive, blobs=door.blobs, by="ada")
    assert door.archive.quarantine.list() == []
    assert not door.files("quarantine")
    assert door.archive.audit.latest()[0].event == "discarded"


def test_every_real_and_hostile_file_gets_a_receipt(door: DoorBench, shared_data: Path) -> None:
    for path in sorted(shared_data.rglob("*.dcm")):
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
            content = path.read_bytes()[144 + meta.FileMetaInformationGroupLength :]
            syntax = str(meta.TransferSyntaxUID)
        except Exception:  # noqa: BLE001  files without meta never reach the door like this
            continue
        receipt = door.send(content, syntax=syntax)
        assert receipt.verdict in (Verdict.STORED, Verdict.QUARANTINED, Verdict.CONFLICT, Verdict.VERSION), path.name
        if "truncated" in path.name:
            assert receipt.dicom_status == UNREADABLE, path.name
        if "ultrasound" in path.parts:
            assert receipt.accepted or receipt.verdict is Verdict.CONFLICT, f"{path.name}: {receipt.detail}"
            assert door.stored_bytes(receipt.sop_instance_uid) == content or receipt.verdict is not Verdict.STORED
    assert not door.files("parts")
