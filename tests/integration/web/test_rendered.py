"""Pictures for people: in the right colours, at the right speed, small where asked, and nothing that could run."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from starlette.applications import Starlette

from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection, WebSection
from echonode.dicom.timing import frame_times_ms
from echonode.web import rendered
from echonode.web.failures import on_echonode_error
from tests.support.asgi import get
from tests.support.door import DoorBench, picture
from tests.support.loops import loop_dataset
from tests.support.shown import everything, shown_by_pydicom
from tests.support.web import Answer

pytestmark = pytest.mark.filterwarnings("ignore")  # the files are odd on purpose, and pydicom says so


class Site:
    """An archive behind the rendering routes alone."""

    def __init__(self, folder: Path) -> None:
        self.door = DoorBench(folder)
        services = SimpleNamespace(archive=self.door.archive, limits=LimitsSection(), web=WebSection())
        self.app = Starlette(
            routes=rendered.routes(services),  # type: ignore[arg-type]
            exception_handlers={EchonodeError: on_echonode_error},
        )

    def get(self, dataset: Dataset | str, path: str, accept: str = "*/*", **headers: str) -> Answer:
        address = dataset if isinstance(dataset, str) else address_of(dataset)
        return get(self.app, f"/dicom-web{address}{path}", {"Accept": accept, **headers})

    def store(self, file: Path | Dataset) -> Dataset:
        """Store a file; one whose UIDs are missing or taken gets new ones."""
        if isinstance(file, Dataset):
            assert self.door.send(file, syntax=_syntax(file)).http_status == 200
            return file
        content, dataset = file.read_bytes(), pydicom.dcmread(file)
        if content[128:132] == b"DICM" and "FileMetaInformationGroupLength" in dataset.file_meta:
            offset = 144 + int(dataset.file_meta.FileMetaInformationGroupLength)
            if self.door.send(content[offset:], syntax=_syntax(dataset)).verdict == "stored":
                return dataset
        digest = sum(file.name.encode()) * 1000 + len(content) % 1000
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"1.2.9.{digest}", "1.2.9"
        dataset.StudyInstanceUID = "1.2.8"
        receipt = self.door.send(dataset, syntax=_syntax(dataset))
        assert receipt.verdict == "stored", receipt
        return dataset


def _syntax(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    return str(meta.TransferSyntaxUID) if meta is not None else "1.2.840.10008.1.2.1"


def address_of(dataset: Dataset) -> str:
    series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    return f"{series}/instances/{dataset.SOPInstanceUID}"


def picture_of(answer: Answer) -> np.ndarray:
    assert answer.status == 200, answer.body[:300]
    with Image.open(io.BytesIO(answer.body)) as shown:
        assert Image.MIME[str(shown.format)] == answer.headers["content-type"]
        pixels = np.asarray(shown.convert("L" if shown.mode == "L" else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """Media type and content of each part."""
    boundary = re.search(r"boundary=([^;]+)", answer.headers["content-type"])
    assert boundary is not None
    pieces = answer.body.split(b"--" + boundary[1].encode())
    assert pieces[-1].startswith(b"--")
    split = [piece.strip(b"\r\n").partition(b"\r\n\r\n") for piece in pieces[1:-1]]
    return [(head.decode().partition(": ")[2], content) for head, _, content in split]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.door.archive.close()


NOT_SHOWN = {
    "xario_truncated_60pct", "MR_truncated", "rtplan_truncated", "chrKoreanMulti", "parametric_map_float",
    "waveform_ecg", "reportsi_with_empty_number_tags", "no_meta", "ExplVR_BigEndNoMeta", "ExplVR_LitEndNoMeta",
    "UN_sequence", "chrSQEncoding", "empty_charset_LEI", "meta_missing_tsyntax", "no-meta-length-test",
    "no_meta_group_length", "no_preamble_dicm_in_data", "JPEG2000-embedded-sequence-delimiter",
}  # fmt: skip
"""No pictures, or cut off."""
ONLY_OURS = {"us_mf_h264_mp4_in_dicom", "badVR"}
"""pydicom has no decoder for MPEG, and cannot read Rows and Columns of the wrong VR."""


@pytest.mark.slow
def test_every_transfer_syntax_renders_as_pydicom_decodes_it(site: Site, shared_data: Path) -> None:
    syntaxes = set()
    for path in everything(shared_data):
        if path.stem in NOT_SHOWN:
            continue
        dataset = site.store(path)
        last = int(dataset.get("NumberOfFrames") or 1) if path.stem != "badVR" else 1
        if path.stem in ONLY_OURS:
            assert picture_of(site.get(dataset, f"/frames/{last}/rendered", "image/png")).std() > 1
            continue
        syntaxes.add(_syntax(dataset))
        expected = shown_by_pydicom(path)
        deep = expected.max() > 255 or expected.min() < 0
        query = ""
        if deep:  # a window over everything, so that both show the same range
            slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
            real = expected * slope + intercept
            low, high = float(real.min()), float(real.max())
            query = f"?window={(low + high) / 2},{high - low},linear-exact"
            expected = np.rint((real - low) / (high - low) * 255)
        for number in {1, last}:
            shown = picture_of(site.get(dataset, f"/frames/{number}/rendered{query}", "image/png"))
            difference = np.abs(expected[number - 1].astype(int) - shown)
            assert difference.shape == shown.shape
            assert difference.max() <= 3, f"{path.name} frame {number}"
            assert difference.mean() < 0.05, f"{path.name} frame {number}"
        lossy = picture_of(site.get(dataset, f"/frames/1/rendered{query}", "image/jpeg"))
        assert np.abs(expected[0].astype(int) - lossy).mean() < 3, path.name
    assert {uid.removeprefix("1.2.840.10008.1.2") for uid in syntaxes} == {
        "", ".1", ".1.99", ".2", ".4.50", ".4.70", ".4.80", ".4.90", ".4.91", ".4.203", ".5",
    }  # fmt: skip


def test_a_stored_jpeg_goes_out_as_it_is_and_one_in_odd_colours_does_not(site: Site, shared_data: Path) -> None:
    cine = site.store(shared_data / "ultrasound" / "adult_xario" / "I_000032.dcm")
    stored = list(pydicom.encaps.generate_frames(cine.PixelData, number_of_frames=67))
    assert site.get(cine, "/frames/5/rendered", "image/jpeg").body == stored[4]
    smaller = site.get(cine, "/frames/5/rendered?quality=10", "image/jpeg").body
    assert len(smaller) < len(stored[4]) / 2
    odd = site.store(shared_data / "nasty" / "SC_jpeg_no_color_transform.dcm")
    assert site.get(odd, "/rendered", "image/jpeg").body not in odd.PixelData


def test_a_gif_and_a_film_play_at_the_speed_of_the_frame_times(site: Site, shared_data: Path) -> None:
    """Browsers must not play a heart faster or slower than it beat."""
    for name, frames in (("adult_xario/I_000031", 64), ("paediatric_hp/I_000003", 17), ("stress_acuson/I_000013", 15)):
        cine = site.store(shared_data / "ultrasound" / f"{name}.dcm")
        times = frame_times_ms(cine)
        end = float(times.times_ms[-1] + times.interval_ms)
        with Image.open(io.BytesIO(site.get(cine, "/rendered").body)) as loop:
            assert (loop.format, loop.n_frames, loop.info["loop"]) == ("GIF", frames, 0)  # type: ignore[attr-defined]
            begins = [0]
            for index in range(frames):
                loop.seek(index)
                begins.append(begins[-1] + loop.info["duration"])
        assert begins[-1] == pytest.approx(end, abs=5)
        assert np.abs(np.array(begins[:-1]) - times.times_ms).max() <= 5
        film = site.get(cine, "/rendered", "video/mp4")
        assert film.headers["content-type"] == "video/mp4"
        with av.open(io.BytesIO(film.body)) as container:
            video = container.streams.video[0]
            shown = [frame.time * 1000 for frame in container.decode(video) if frame.time is not None]
            assert float(video.duration * video.time_base) * 1000 == pytest.approx(end, abs=0.1)  # type: ignore[operator]
        assert shown == pytest.approx(times.times_ms, abs=0.1)


def test_frames_that_a_gif_cannot_show_are_left_out_and_not_slowed_down(site: Site) -> None:
    fast = loop_dataset(frames=40)
    fast.FrameTime, fast.CineRate = "8", 125
    site.store(fast)
    with Image.open(io.BytesIO(site.get(fast, "/rendered", "image/gif").body)) as loop:
        durations = []
        for index in range(loop.n_frames):  # type: ignore[attr-defined]
            loop.seek(index)
            durations.append(loop.info["duration"])
    assert sum(durations) == 320
    assert min(durations) >= 20


def test_a_picture_can_be_smaller_cut_mirrored_and_windowed(site: Site) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 16, (64, 1))
    deep = picture("1.2.3.5", Rows=64, Columns=256, BitsAllocated=16, BitsStored=12, HighBit=11)
    deep.add_new("PixelData", "OW", ramp.tobytes())
    site.store(deep)
    assert picture_of(site.get(deep, "/rendered?viewport=128,128", "image/png")).shape == (32, 128, 1)
    assert picture_of(site.get(deep, "/rendered?viewport=512,512", "image/png")).shape == (128, 512, 1)
    part = picture_of(site.get(deep, "/rendered?viewport=16,64,32,0,-16,64&window=2048,4096,linear-exact", "image/png"))
    assert part.shape == (64, 16, 1)
    assert part[0, :, 0].tolist() == [47 - each for each in range(16)]
    shown = picture_of(site.get(deep, "/rendered?window=1024,513,linear", "image/png"))[0, :, 0]
    for value in (768, 1024, 1200):  # PS3.3 C.11.2.1.2.1
        expected = ((value - 1023.5) / 512 + 0.5) * 255
        assert shown[value // 16] == pytest.approx(np.clip(expected, 0, 255), abs=0.51)
    curve = picture_of(site.get(deep, "/rendered?window=2048,1024,SIGMOID", "image/png"))[0, :, 0]
    assert curve[128] == pytest.approx(127.5, abs=1)
    assert curve[192] == pytest.approx(255 / (1 + np.exp(-4)), abs=1)


@pytest.mark.parametrize(
    "query",
    [
        "viewport=0,5", "viewport=99999,5", "viewport=1", "viewport=a,b", "viewport=5,5,900,900,2,2", "window=1",
        "window=nan,1,linear", "window=1,0.5,linear", "window=1,1,round", "quality=0", "quality=101", "quality=x",
        "annotation=evil", "iccprofile=none", "viewport=5,5,0,0,0,0", "window=1,inf,linear",
        "viewport=5,5,1e308,1e308,1e308,1e308", "viewport=5,5,-1e308,0,1,1",
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_one_line(site: Site, query: str) -> None:
    answer = site.get(site.store(picture()), f"/rendered?{query}", "image/png")
    assert answer.status == 400
    assert answer.json["error"]


def test_addresses_and_forms_that_do_not_exist(site: Site) -> None:
    still = site.store(picture())
    assert site.get(still, "/frames/2/rendered").status == 404
    assert site.get(still, "/frames/0/rendered").status == 400
    assert site.get(still, "/frames/1,1,1/rendered").status == 400
    assert site.get(still, "/frames/%3Cscript%3E/rendered").status == 400
    assert site.get(still, "/rendered", "application/json").status == 406
    assert "image/jpeg" in site.get(still, "/rendered", "text/html").json["error"]
    for path in ("/studies/1.2.3/series/9/instances/1.2.3.4", "/studies/..%2f..", "/studies/1.2.3/series/x'--"):
        for resource in ("/rendered", "/thumbnail"):
            assert site.get(path, resource).status == 404


def test_a_client_that_has_the_picture_is_not_sent_it_again(site: Site) -> None:
    still = site.store(picture())
    first = site.get(still, "/rendered", "image/png")
    again = site.get(still, "/rendered", "image/png", **{"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = site.get(still, "/rendered?viewport=2,2", "image/png", **{"If-None-Match": first.headers["etag"]})
    assert other.status == 200


def test_a_thumbnail_is_small_and_stands_for_a_study_too(site: Site, shared_data: Path) -> None:
    cine = site.store(shared_data / "ultrasound" / "paediatric_hp" / "I_000001.dcm")
    expected = shown_by_pydicom(cine)[17]
    series = f"/studies/{cine.StudyInstanceUID}/series/{cine.SeriesInstanceUID}"
    for path in (f"{series}/instances/{cine.SOPInstanceUID}", series, f"/studies/{cine.StudyInstanceUID}"):
        shown = picture_of(site.get(path, "/thumbnail"))
        assert max(shown.shape[:2]) == 256
        small = np.asarray(Image.fromarray(expected).resize((shown.shape[1], shown.shape[0]), Image.Resampling.BOX))
        assert np.abs(small.astype(int) - shown).mean() < 6
    assert picture_of(site.get(cine, "/thumbnail?viewport=64,64", "image/png")).shape[1] == 64
    still = site.store(picture("1.2.3.9"))
    assert picture_of(site.get(still, "/thumbnail")).shape[:2] == (4, 4)


def test_a_study_is_rendered_in_parts(site: Site) -> None:
    for number in range(3):
        site.store(picture(f"1.2.3.{number}", PixelData=bytes([number * 90] * 16)))
    site.store(loop_dataset(study_uid="1.2.3"))
    for accept, kind in (("*/*", "image/jpeg"), ('multipart/related; type="image/png"', "image/png")):
        parts = parts_of(site.get("/studies/1.2.3", "/rendered", accept))
        assert [media for media, _ in parts] == [kind] * 4
        values = [round(float(np.asarray(Image.open(io.BytesIO(content))).mean())) for _, content in parts]
        assert values[:3] == pytest.approx([0, 90, 180], abs=2)
    parts = parts_of(site.get("/studies/1.2.3/series/1.2.3.1", "/rendered", "image/png"))
    assert len(parts) == 3


def test_some_frames_come_as_parts_or_as_a_loop_of_their_own(site: Site) -> None:
    cine = site.store(loop_dataset(frames=10))
    parts = parts_of(site.get(cine, "/frames/7,2/rendered", "image/png"))
    expected = shown_by_pydicom(cine)
    for (_, content), index in zip(parts, (6, 1), strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), expected[index][..., 0])
    with Image.open(io.BytesIO(site.get(cine, "/frames/3,4,5/rendered", "image/gif").body)) as loop:
        assert loop.n_frames == 3  # type: ignore[attr-defined]
        assert loop.info["duration"] == 20


def report(**values: Any) -> Dataset:
    """A report of one text, with a name that would like to be markup."""
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.TextValue = values.pop("text", "<script>alert(1)</script>")
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121106", "DCM", "Comment <b>"
    item.ConceptNameCodeSequence = [name]
    dataset = picture("1.2.3.7", **values)
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "SR"
    dataset.PatientName = '"><img src=x onerror=alert(1)>^Ä'
    dataset.ValueType = "CONTAINER"
    dataset.ContentSequence = [item]
    return dataset


def test_a_report_is_a_page_in_which_nothing_runs(site: Site) -> None:
    answer = site.get(site.store(report()), "/rendered", "text/html,application/xhtml+xml,*/*;q=0.8")
    page = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert set(re.findall(r"<(\w+)", page)) <= {
        "html", "head", "meta", "title", "style", "body", "h1", "dl", "dt", "dd", "ul", "li", "b",
    }  # fmt: skip
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "^Ä" in page
    assert site.get(report(), "/thumbnail").status == 406


def test_a_report_with_values_that_lie_elsewhere_is_a_page_too(site: Site) -> None:
    """Scanners put private blobs into their reports."""
    long = report(text="x" * 70_000)
    block = long.private_block(0x0011, "ACME", create=True)
    block.add_new(0x01, "OB", bytes(3000))
    answer = site.get(site.store(long), "/rendered", "text/html")
    assert answer.status == 200, answer.body
    assert "Comment" in answer.body.decode()


def test_an_encapsulated_pdf_comes_as_it_is_and_nothing_else_as_one(site: Site) -> None:
    document = report()
    document.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocument = b"%PDF-1.4 odd"
    document.EncapsulatedDocumentLength = 11
    site.store(document)
    answer = site.get(document, "/rendered")
    assert (answer.headers["content-type"], answer.body) == ("application/pdf", b"%PDF-1.4 od")
    fake = report()
    fake.SOPInstanceUID, fake.SOPClassUID = "1.2.3.8", document.SOPClassUID
    fake.EncapsulatedDocument = b"<html><script>"
    site.store(fake)
    assert site.get(fake, "/rendered").status == 406


def test_what_is_corrupt_is_refused_and_never_shown_in_part(site: Site) -> None:
    broken = picture("1.2.3.6", Rows=64, Columns=64)
    broken.SOPClassUID, broken.file_meta = "1.2.840.10008.5.1.4.1.1.6.1", pydicom.dataset.FileMetaDataset()
    broken.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(buffer, "JPEG")
    broken.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()[: len(buffer.getvalue()) // 2]])
    broken["PixelData"].VR, broken["PixelData"].is_undefined_length = "OB", True
    site.store(broken)
    for path, accept in (("/rendered", "image/jpeg"), ("/rendered", "image/png"), ("/thumbnail", "*/*")):
        answer = site.get(broken, path, accept)
        assert answer.status == 406
        assert "cut off or corrupt" in json.loads(answer.body)["error"]
