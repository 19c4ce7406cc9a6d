"""Links of older viewers and reports still lead to their picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from starlette.applications import Starlette

from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection, WebSection
from echonode.web import wado_uri
from echonode.web.failures import on_echonode_error
from tests.support.asgi import get
from tests.support.door import DoorBench, encoded, picture
from tests.support.loops import loop_dataset
from tests.support.web import Answer


class Site:
    def __init__(self, folder: Path) -> None:
        self.door = DoorBench(folder)
        services = SimpleNamespace(
            archive=self.door.archive, blobs=self.door.blobs, limits=LimitsSection(), web=WebSection()
        )
        self.app = Starlette(
            routes=wado_uri.routes(services),  # type: ignore[arg-type]
            exception_handlers={EchonodeError: on_echonode_error},
        )

    def get(self, dataset: Dataset, **parameters: str) -> Answer:
        query = {
            "requestType": "WADO",
            "studyUID": dataset.StudyInstanceUID,
            "seriesUID": dataset.SeriesInstanceUID,
            "objectUID": dataset.SOPInstanceUID,
        }
        wanted = {name: value for name, value in (query | parameters).items() if value is not None}
        return get(self.app, f"/wado?{urlencode(wanted)}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.door.archive.close()


def test_a_still_is_a_jpeg_and_a_loop_the_object_itself_by_default(site: Site) -> None:
    still, cine = picture(), loop_dataset(frames=6)
    assert site.door.send(still).verdict == "stored"
    assert site.door.send(cine).verdict == "stored"
    assert site.get(still).headers["content-type"] == "image/jpeg"
    answer = site.get(cine)
    assert answer.headers["content-type"].startswith("application/dicom")
    assert pydicom.dcmread(io.BytesIO(answer.body)).PixelData == cine.PixelData
    loop = Image.open(io.BytesIO(site.get(cine, contentType="image/gif").body))
    assert loop.n_frames == 6  # type: ignore[attr-defined]


def test_frame_size_region_window_and_quality(site: Site) -> None:
    cine = loop_dataset(frames=6)
    site.door.send(cine)
    frames = cine.pixel_array
    asked = {"contentType": "image/png", "frameNumber": "3"}
    with Image.open(io.BytesIO(site.get(cine, **asked).body)) as shown:
        assert list(shown.tobytes()) == frames[2].reshape(-1).tolist()
    with Image.open(io.BytesIO(site.get(cine, **asked, region="0.5,0,1,0.25").body)) as shown:
        assert list(shown.tobytes()) == frames[2][:40, 80:].reshape(-1).tolist()
    with Image.open(io.BytesIO(site.get(cine, **asked, rows="40", columns="20").body)) as shown:
        assert shown.size == (20, 20)
    with Image.open(io.BytesIO(site.get(cine, **asked, windowCenter="200", windowWidth="1").body)) as shown:
        assert set(shown.tobytes()) == {0, 255}
    assert site.get(cine, **asked | {"frameNumber": "7"}).status == 404
    coarse = site.get(cine, contentType="image/jpeg", frameNumber="1", imageQuality="5")
    fine = site.get(cine, contentType="image/jpeg", frameNumber="1", imageQuality="95")
    assert len(coarse.body) < len(fine.body) / 2


def test_the_object_comes_in_the_transfer_syntax_that_is_asked_for(site: Site) -> None:
    cine = loop_dataset(frames=3)
    site.door.send(cine)
    answer = site.get(cine, contentType="application/dicom", transferSyntax="1.2.840.10008.1.2.4.80")
    made = pydicom.dcmread(io.BytesIO(answer.body))
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert (made.pixel_array == cine.pixel_array).all()
    plain = site.get(cine, contentType="application/dicom")
    assert plain.body.endswith(encoded(cine))


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"requestType": "GET"}, 400), ({"studyUID": ""}, 400), ({"objectUID": "../../etc/passwd"}, 404),
        ({"studyUID": "9.9"}, 404), ({"anonymize": "yes"}, 406), ({"presentationUID": "1.2"}, 406),
        ({"contentType": "text/html"}, 406), ({"rows": "-1"}, 400), ({"region": "1,1,0,0"}, 400),
        ({"windowWidth": "5"}, 400), ({"contentType": "application/dicom", "transferSyntax": "x"}, 400),
        ({"frameNumber": "0"}, 404), ({"imageQuality": "0"}, 400), ({"columns": "99999"}, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused(site: Site, parameters: dict[str, str], status: int) -> None:
    still = picture()
    site.door.send(still)
    answer = site.get(still, **parameters)
    assert answer.status == status
    assert answer.json["error"]
