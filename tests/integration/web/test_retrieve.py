"""WADO-RS on the real files: byte for byte where stored bytes are accepted, the same picture where they are not."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from starlette.applications import Starlette

from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection, WebSection
from echonode.dicom.encode import JPEG_LS
from echonode.dicom.pixels import open_pixels
from echonode.flow.decoding import Decoder
from echonode.web import bulkdata, frames, retrieve
from echonode.web.failures import on_echonode_error
from tests.support.asgi import get
from tests.support.door import DoorBench, encoded, picture
from tests.support.web import Answer

pytestmark = pytest.mark.filterwarnings("ignore")  # the files are odd on purpose, and pydicom says so
EXPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
HEAVY = ("GREYSCALE_CINE.dcm", "I_000031.dcm", "I_000002.dcm", "I_000003.dcm")


class Site:
    """An archive behind the retrieval routes alone."""

    def __init__(self, folder: Path) -> None:
        self.door = DoorBench(folder)
        self._decoder = Decoder(limits=LimitsSection(), blobs=self.door.blobs)
        self._stored: dict[Path, Dataset] = {}
        services: Any = SimpleNamespace(
            archive=self.door.archive, blobs=self.door.blobs, limits=LimitsSection(), web=WebSection()
        )
        self.app = Starlette(
            routes=[
                *frames.routes(services, self._decoder),
                *retrieve.routes(services, self._decoder),
                *bulkdata.routes(services, self._decoder),
            ],
            exception_handlers={EchonodeError: on_echonode_error},
        )

    def get(self, target: Dataset | str, path: str = "", accept: str = "", method: str = "GET", **more: str) -> Answer:
        address = target if isinstance(target, str) else address_of(target)
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        return get(
            self.app, f"/dicom-web{address}{path}", headers | ({"Accept": accept} if accept else {}), method=method
        )

    def store(self, file: Path) -> Dataset:
        """Store a file's data set as it is, once; where several files share a UID, later ones get digits of their own."""
        if file in self._stored:
            return self._stored[file]
        content, dataset = file.read_bytes(), pydicom.dcmread(file, stop_before_pixels=True)
        content = content[144 + int(dataset.file_meta.FileMetaInformationGroupLength) :]
        uid = dataset.SOPInstanceUID
        if self.door.archive.index.instance(uid) is not None:
            dataset.SOPInstanceUID = f"{uid[:-3]}{len(self._stored) + 100}"
            content = content.replace(uid.encode(), dataset.SOPInstanceUID.encode())
        named = {"sop_class_uid": str(dataset.SOPClassUID), "sop_instance_uid": str(dataset.SOPInstanceUID)}
        receipt = self.door.send(content, syntax=str(dataset.file_meta.TransferSyntaxUID), **named)
        assert receipt.verdict == "stored", receipt
        self._stored[file] = dataset
        return dataset

    def close(self) -> None:
        self._decoder.close()
        self.door.archive.close()


def address_of(dataset: Dataset) -> str:
    series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    return f"{series}/instances/{dataset.SOPInstanceUID}"


def parts(answer: Answer) -> list[tuple[str, bytes]]:
    """Content-Type and body of each part; the whole must be framed as RFC 2046 has it."""
    found = re.fullmatch(r'multipart/related; type="([^"]+)"; boundary=(\S+)', answer.headers["content-type"])
    assert found, answer.headers
    mark = b"--" + found[2].encode()
    assert answer.body.startswith(mark + b"\r\n")
    assert answer.body.endswith(b"\r\n" + mark + b"--\r\n")
    if "content-length" in answer.headers:
        assert int(answer.headers["content-length"]) == len(answer.body)
    pieces = []
    for piece in answer.body.removesuffix(mark + b"--\r\n").split(mark + b"\r\n")[1:]:
        head, _, body = piece.partition(b"\r\n\r\n")
        kind = head.decode().removeprefix("Content-Type: ")
        assert kind.partition(";")[0] == found[1]
        pieces.append((kind, body.removesuffix(b"\r\n")))
    return pieces


def displayed(content: bytes, folder: Path) -> list[np.ndarray]:
    """The first and the last frame of a Part 10 file."""
    path = folder / "shown"
    path.write_bytes(content)
    with open_pixels(path, limits=LimitsSection()) as pixels:
        if pixels.is_video:
            every = list(pixels.iter_frames())
            return [every[0], every[-1]]
        decoder = pixels.decoder()
        if decoder.needs_range:
            decoder.window = decoder.value_range(pixels.frame_bytes(index) for index in range(pixels.frames))
        return [decoder.decode(pixels.frame_bytes(index)) for index in (0, pixels.frames - 1)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("retrieve"))
    yield site
    site.close()


def real(shared_data: Path) -> list[Path]:
    """Ultrasound in every transfer syntax; the largest loops and twins left out."""
    folders = ("ultrasound/single", "ultrasound/adult_xario", "ultrasound/paediatric_hp", "derived")
    found = [path for folder in folders for path in sorted((shared_data / folder).glob("*.dcm"))]
    return [path for path in found if path.name not in HEAVY and "truncated" not in path.name]


def test_every_real_object_comes_back_as_it_was_stored(site: Site, shared_data: Path) -> None:
    for source in real(shared_data):
        dataset = site.store(source)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        stored = site.door.stored_bytes(dataset.SOPInstanceUID)
        for accept in ("", f"{DICOM}; transfer-syntax=*", f"{DICOM}; transfer-syntax={syntax}"):
            answer = site.get(dataset, accept=accept)
            assert answer.status == 200
            [(kind, body)] = parts(answer)
            assert kind == f"application/dicom; transfer-syntax={syntax}"
            assert body.endswith(stored)
            assert body[:132] == bytes(128) + b"DICM", "nothing of a sender may stand in the preamble"
            assert pydicom.dcmread(io.BytesIO(body), stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
        one = site.get(dataset, accept="application/dicom; transfer-syntax=*")
        assert one.body == body
        assert one.headers["content-type"] == kind


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG_LS, JPEG])
def test_every_real_object_can_be_had_in_the_syntaxes_that_clients_read(
    syntax: str, site: Site, shared_data: Path, tmp_path: Path
) -> None:
    for source in real(shared_data):
        dataset = site.store(source)
        answer = site.get(dataset, accept=f"{DICOM}; transfer-syntax={syntax}")
        assert answer.status == 200, (source, answer.body[:300])
        [(kind, body)] = parts(answer)
        assert kind.endswith(f"transfer-syntax={syntax}")
        result = pydicom.dcmread(io.BytesIO(body), stop_before_pixels=True)
        assert result.file_meta.TransferSyntaxUID == syntax
        assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID == dataset.SOPInstanceUID
        theirs = displayed(source.read_bytes(), tmp_path)
        for mine, its in zip(displayed(body, tmp_path), theirs, strict=True):
            apart = np.abs(mine.astype(int) - its.astype(int))
            assert apart.mean() < 3 if syntax == JPEG else apart.max() == 0, source


def test_every_frame_of_every_real_object_is_the_stored_one(site: Site, shared_data: Path) -> None:
    for source in real(shared_data):
        dataset = site.store(source)
        whole = pydicom.dcmread(source)
        syntax, count = whole.file_meta.TransferSyntaxUID, int(whole.get("NumberOfFrames", 1) or 1)
        if syntax.startswith("1.2.840.10008.1.2.4.10") or syntax == "1.2.840.10008.1.2.2":
            continue
        if syntax.is_encapsulated:
            expected = list(generate_frames(whole.PixelData, number_of_frames=count))
        else:
            size = len(whole.PixelData) // count
            expected = [whole.PixelData[index * size : (index + 1) * size] for index in range(count)]
        numbers = sorted({1, count // 2 + 1, count})
        answer = site.get(dataset, "/frames/" + ",".join(map(str, numbers)))
        assert answer.status == 200, answer.body[:200]
        found = parts(answer)
        assert len(found) == len(numbers)
        for (kind, body), number in zip(found, numbers, strict=True):
            assert body.rstrip(b"\0") == bytes(expected[number - 1]).rstrip(b"\0"), (source, number)
            wanted = syntax if syntax.is_encapsulated else EXPLICIT
            assert kind.endswith(f"; transfer-syntax={wanted}")


def test_frames_decoded_for_a_client_that_takes_only_plain_pixels(site: Site, shared_data: Path) -> None:
    for name in ("examples_ybr_color.dcm", "US1_RLE.dcm", "US1_J2KI.dcm"):
        dataset = site.store(shared_data / "ultrasound/single" / name)
        answer = site.get(dataset, "/frames/1", OCTETS)
        [(kind, body)] = parts(answer)
        assert kind == f"application/octet-stream; transfer-syntax={EXPLICIT}"
        assert len(body) == dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
        with open_pixels(shared_data / "ultrasound/single" / name, limits=LimitsSection()) as pixels:
            picture_, _ = pixels.decoder().values(pixels.frame_bytes(0))
        assert body == picture_.tobytes()


def test_frames_of_a_video_are_decoded_one_by_one(site: Site, shared_data: Path) -> None:
    dataset = site.store(shared_data / "derived/us_mf_h264_mp4_in_dicom.dcm")
    answer = site.get(dataset, "/frames/3,1", 'multipart/related; type="image/jpeg"')
    assert [kind for kind, _ in parts(answer)] == [f"image/jpeg; transfer-syntax={JPEG}"] * 2
    assert all(body.startswith(b"\xff\xd8") for _, body in parts(answer))
    assert site.get(dataset, "/frames/71", OCTETS).status == 404
    stream = site.get(dataset, "/bulkdata/7FE00010")
    assert stream.headers["content-type"] == "video/mp4"
    assert b"ftyp" in stream.body[:16]


def test_frames_that_are_not_there_or_no_frames(site: Site, shared_data: Path) -> None:
    dataset = site.store(shared_data / "ultrasound/single/examples_ybr_color.dcm")
    for text, status in (
        ("31", 404), ("0", 400), ("-1", 400), ("1,", 400), ("x", 400), ("1;2", 400), ("٣", 400), ("1,31", 404),
        (",".join(["1"] * 20_000), 400),
    ):  # fmt: skip
        assert site.get(dataset, f"/frames/{text}").status == status, text
    assert site.get(dataset, "/frames/1", "image/png").status == 406
    assert site.get(dataset, "/frames/1,2", "image/jpeg").status == 406
    single = site.get(dataset, "/frames/2", "image/jpeg")
    assert single.body.startswith(b"\xff\xd8")
    assert single.headers["content-type"].startswith("image/jpeg;")


def test_a_study_is_sent_in_one_piece_with_its_length(site: Site, shared_data: Path) -> None:
    sources = [shared_data / "ultrasound/adult_xario" / name for name in ("I_000034.dcm", "I_000038.dcm")]
    stored = [site.store(source) for source in sources]
    study = f"/studies/{stored[0].StudyInstanceUID}"
    for path in (study, f"{study}/series/{stored[0].SeriesInstanceUID}"):
        answer = site.get(path, accept=f"{DICOM}; transfer-syntax=*")
        assert answer.status == 200
        assert "content-length" in answer.headers
        bodies = [body for _, body in parts(answer)]
        for dataset in stored:
            assert any(body.endswith(site.door.stored_bytes(dataset.SOPInstanceUID)) for body in bodies)
        again = site.get(path, accept=f"{DICOM}; transfer-syntax=*", If_None_Match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b"")
    assert site.get(study, accept="application/dicom; transfer-syntax=*").status == 406


def test_a_study_is_transcoded_while_it_is_sent_and_a_broken_loop_goes_as_it_is(tmp_path: Path) -> None:
    """One object that cannot be decoded must not keep the others of its study from the client, nor vanish."""
    site = Site(tmp_path)
    good, broken, report = picture("1.2.3.10"), picture("1.2.3.11", PixelData=bytes(16)), picture("1.2.3.12")
    del report.PixelData
    site.door.send(good, syntax="1.2.840.10008.1.2")
    rle = encoded(broken)
    rle = (
        rle[: -16 - 12]
        + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
        + (b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\x08\0\0\0garbage!" + b"\xfe\xff\xdd\xe0\0\0\0\0")
    )
    assert site.door.send(rle, syntax="1.2.840.10008.1.2.5").verdict == "stored"
    site.door.send(report)
    answer = site.get("/studies/1.2.3", accept=f"{DICOM}; transfer-syntax={EXPLICIT}")
    assert answer.status == 200
    kinds = [kind.partition("transfer-syntax=")[2] for kind, _ in parts(answer)]
    assert kinds == [EXPLICIT, "1.2.840.10008.1.2.5", EXPLICIT]
    first = pydicom.dcmread(io.BytesIO(parts(answer)[0][1]))
    assert first.PixelData == bytes(range(16))
    alone = site.get(broken, accept=f"{DICOM}; transfer-syntax={EXPLICIT}")
    assert alone.status == 406
    assert site.get(broken, accept=DICOM).status == 200, "without a parameter what cannot be decoded goes as stored"
    jpeg = site.get("/studies/1.2.3", accept=f"{DICOM}; transfer-syntax={JPEG}")
    assert [kind.partition("transfer-syntax=")[2] for kind, _ in parts(jpeg)][2] == EXPLICIT
    assert not site.door.files("parts")
    site.close()


def test_objects_that_cannot_be_had_are_left_out_and_the_status_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.door.send(picture("1.2.3.10"))
    assert site.door.send(encoded(picture("1.2.3.11")), syntax="1.2.840.10008.1.2.4.999").accepted
    answer = site.get("/studies/1.2.3", accept=f"{DICOM}; transfer-syntax={EXPLICIT}")
    assert answer.status == 206
    assert len(parts(answer)) == 1
    site.close()


def test_byte_ranges_of_an_instance_by_itself(site: Site, shared_data: Path) -> None:
    """A download that broke off goes on where it stopped."""
    dataset = site.store(shared_data / "ultrasound/single/US1_UNCI.dcm")
    accept = "application/dicom; transfer-syntax=*"
    whole = site.get(dataset, accept=accept)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["x-content-type-options"] == "nosniff"
    middle = site.get(dataset, accept=accept, Range="bytes=1000-1999", If_Range=whole.headers["etag"])
    assert (middle.status, middle.body) == (206, whole.body[1000:2000])
    assert middle.headers["content-range"] == f"bytes 1000-1999/{len(whole.body)}"
    beyond = site.get(dataset, accept=accept, Range=f"bytes={len(whole.body)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.body)}")
    head = site.get(dataset, accept=accept, method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    assert site.get(dataset, accept=accept, If_None_Match=whole.headers["etag"]).status == 304
    assert whole.headers["etag"] != site.get(dataset).headers["etag"]


def test_bulk_data_is_the_value(site: Site, shared_data: Path) -> None:
    for name in ("US1_UNCI.dcm", "gdcm-US-ALOKA-16.dcm"):
        dataset = site.store(shared_data / "ultrasound/single" / name)
        value = pydicom.dcmread(shared_data / "ultrasound/single" / name).PixelData
        answer = site.get(dataset, "/bulkdata/7FE00010")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.body == value
        [(_, body)] = parts(site.get(dataset, "/bulkdata/7FE00010", OCTETS))
        assert body == value
        cut = site.get(dataset, "/bulkdata/7FE00010", Range="bytes=100-299")
        assert (cut.status, cut.body) == (206, value[100:300])
        assert site.get(dataset, "/bulkdata/7FE00010", Range="bytes=999999999-").status == 416
    swapped = shared_data / "ultrasound/single/ExplVR_BigEnd.dcm"
    [(kind, body)] = parts(site.get(site.store(swapped), "/bulkdata/7FE00010"))
    assert kind.endswith(EXPLICIT)
    assert body == pydicom.dcmread(swapped).PixelData  # bytes (OB) have no order
    compressed = site.store(shared_data / "ultrasound/single/examples_ybr_color.dcm")
    found = parts(site.get(compressed, "/bulkdata/7FE00010"))
    assert len(found) == 30
    assert found[0][0] == f"image/jpeg; transfer-syntax={JPEG}"
    palette = site.store(shared_data / "ultrasound/single/OBXXXX1A.dcm")
    red = pydicom.dcmread(shared_data / "ultrasound/single/OBXXXX1A.dcm").RedPaletteColorLookupTableData
    assert site.get(palette, "/bulkdata/00281201").body == red
    for path, status in (("00281299", 404), ("nonsense", 400), ("00281201.0", 400), ("00100010.0.00100010", 404)):
        assert site.get(palette, f"/bulkdata/{path}").status == status, path


def test_a_deflated_object_goes_out_deflated_or_plain(tmp_path: Path, shared_data: Path) -> None:
    site = Site(tmp_path)
    dataset = site.store(shared_data / "nasty/image_dfl.dcm")
    whole = pydicom.dcmread(shared_data / "nasty/image_dfl.dcm")
    [(kind, body)] = parts(site.get(dataset, accept=f"{DICOM}; transfer-syntax=*"))
    assert kind.endswith("1.2.840.10008.1.2.1.99")
    assert body.endswith(site.door.stored_bytes(dataset.SOPInstanceUID))
    [(kind, body)] = parts(site.get(dataset, accept=DICOM))
    assert kind.endswith(EXPLICIT)
    assert pydicom.dcmread(io.BytesIO(body)).PixelData == whole.PixelData
    assert site.get(dataset, "/bulkdata/7FE00010").body == whole.PixelData
    [(_, frame)] = parts(site.get(dataset, "/frames/1", OCTETS))
    assert frame == whole.PixelData[: len(frame)]
    site.close()


@pytest.mark.parametrize(
    "path",
    [
        "/studies/1.2.3.4",
        "/studies/1.2.3/series/9",
        "/studies/1.2.3/series/1.2.3.1/instances/9",
        "/studies/9/series/1.2.3.1/instances/1.2.3.10",
        "/studies/%2e%2e/series/1/instances/1",
        "/studies/1.2.3%00/series/1/instances/1",
        "/studies/" + "1" * 65,
        "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.10' OR 1=1",
        "/studies/1.2.3/series/1.2.3.1/instances/9/frames/1",
        "/studies/1.2.3/series/1.2.3.1/instances/9/bulkdata/7FE00010",
    ],
)
def test_addresses_of_nothing(path: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.door.send(picture("1.2.3.10"))
    answer = site.get(path)
    assert answer.status == 404
    assert b"OR 1=1" not in answer.body
    site.close()


def test_a_report_has_no_frames(tmp_path: Path) -> None:
    site = Site(tmp_path)
    report = picture("1.2.3.12", PixelData=None)
    site.door.send(report)
    assert site.get(report, "/frames/1").status == 404
    assert site.get(report).status == 200
    site.close()


def test_a_hidden_object_does_not_exist(tmp_path: Path) -> None:
    from echonode.archive.schema import INSTANCE

    site = Site(tmp_path)
    site.door.send(picture("1.2.3.10"))
    site.door.send(picture("1.2.3.11"))
    with site.door.archive.transaction() as connection:
        connection.execute(INSTANCE.update().where(INSTANCE.c.sop_instance_uid == "1.2.3.11").values(hidden=True))
    assert len(parts(site.get("/studies/1.2.3"))) == 1
    for path in ("", "/frames/1", "/bulkdata/7FE00010"):
        assert site.get(f"/studies/1.2.3/series/1.2.3.1/instances/1.2.3.11{path}").status == 404
    site.close()


def test_a_file_that_is_gone_or_short_is_a_fault_and_no_half_answer(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for uid, end in (("1.2.3.10", None), ("1.2.3.11", 100)):
        site.door.send(picture(uid))
        stored = site.door.archive.index.instance(uid)
        assert stored is not None
        path = Path(stored.path)
        path.unlink() if end is None else path.write_bytes(path.read_bytes()[:end])
        for tail in ("", "/frames/1"):
            assert site.get(f"/studies/1.2.3/series/1.2.3.1/instances/{uid}{tail}").status == 503
    site.close()
