"""dicomweb-client, as the field knows it, against a node: search, retrieve, frames, bulk data, pictures, store."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from echonode.core.identity import derived_uid
from tests.acceptance.conftest import RunningNode
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom warns of what real files hold: misspelt character sets, values of a wrong form."""
NATIVE = "1.2.840.10008.1.2.1"
STUDIES = ("adult_xario", "paediatric_hp", "stress_acuson")


@pytest.fixture
def client(
    node: Callable[..., RunningNode], free_port: Callable[[], int]
) -> Iterator[tuple[DICOMwebClient, RunningNode]]:
    port = free_port()
    running = node(pacs_port=free_port(), routes="", web_port=port)
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/live"), "the web edge to answer", seconds=120)
    user = DICOMwebClient(url=f"http://127.0.0.1:{port}/dicom-web")
    user.set_http_retry_params(retry=False)
    yield user, running
    user._session.close()


def answers(url: str) -> bool:
    """Whether something says 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def names_of(dataset: Dataset) -> tuple[str, str, str]:
    return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)


def data_set(content: bytes) -> bytes:
    with BytesIO(content) as stream:
        pydicom.filereader.read_preamble(stream, force=False)
        pydicom.filereader._read_file_meta_info(stream)
        return stream.read()


def shown(dataset: Dataset, frame: int = 0) -> np.ndarray:
    """A frame as pydicom decodes it, as RGB or grey of 8 bits."""
    pixels = dataset.pixel_array
    picture = pixels[frame] if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        picture = apply_color_lut(picture, dataset)
        return (picture >> 8 if picture.dtype == np.uint16 else picture).astype(np.uint8)
    return picture


@pytest.mark.slow
def test_the_real_studies_are_found_and_come_back_byte_for_byte(
    client: tuple[DICOMwebClient, RunningNode], shared_data: Path
) -> None:
    user, running = client
    folders = [str(shared_data / "ultrasound" / name) for name in STUDIES]
    running.cli("send", *folders, "--to", f"ECHONODE@127.0.0.1:{running.port}", "--as", "SCANNER")
    files = [path for folder in folders for path in sorted(Path(folder).glob("*.dcm"))]
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in files}

    studies = {str(header.StudyInstanceUID) for header in headers.values()}
    found = user.search_for_studies()
    assert {study["0020000D"]["Value"][0] for study in found} == studies
    for uid in studies:
        of_study = [header for header in headers.values() if header.StudyInstanceUID == uid]
        (one,) = user.search_for_studies(search_filters={"StudyInstanceUID": uid}, fields=["StudyDescription"])
        assert one["00201208"]["Value"] == [len(of_study)]
        series = user.search_for_series(uid)
        assert {each["0020000E"]["Value"][0] for each in series} == {str(h.SeriesInstanceUID) for h in of_study}
        instances = user.search_for_instances(uid)
        assert {each["00080018"]["Value"][0] for each in instances} == {str(h.SOPInstanceUID) for h in of_study}
        assert len(user.search_for_instances(uid, limit=1, offset=0)) == 1
        arrived = user.retrieve_study(uid, media_types=(("application/dicom", "*"),))
        assert {str(each.SOPInstanceUID) for each in arrived} == {str(h.SOPInstanceUID) for h in of_study}

    for path, header in headers.items():
        study, series_uid, instance = names_of(header)
        place = f"/studies/{study}/series/{series_uid}/instances/{instance}"
        raw = user._session.get(user.base_url + place, headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert raw.status_code == 200, raw.text
        assert data_set(raw.content) == data_set(path.read_bytes()), path.name
        whole = user.retrieve_instance(study, series_uid, instance, media_types=(("application/dicom", "*"),))
        assert whole.file_meta.TransferSyntaxUID == header.file_meta.TransferSyntaxUID
        metadata = Dataset.from_json(user.retrieve_instance_metadata(study, series_uid, instance))
        for keyword in ("PatientID", "StudyDate", "Rows", "Columns", "NumberOfFrames", "PhotometricInterpretation"):
            assert metadata.get(keyword) == header.get(keyword), (path.name, keyword)


@pytest.mark.slow
def test_the_client_stores_every_kind_of_file_and_each_comes_back_and_renders_as_pydicom_decodes_it(
    client: tuple[DICOMwebClient, RunningNode], shared_data: Path
) -> None:
    user, _running = client
    compared = 0
    for path in sorted((shared_data / "ultrasound" / "single").glob("*.dcm")):
        source = pydicom.dcmread(path)
        # some of these files are one object with several contents, which a node must not take for one
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = derived_uid("test", path.name)
        answer = user.store_instances([source])
        assert "FailedSOPSequence" not in answer, (path.name, answer)
        again = user.store_instances([source])
        assert "FailedSOPSequence" not in again, path.name
        study, series, instance = names_of(source)
        assert [str(item.ReferencedSOPInstanceUID) for item in answer.ReferencedSOPSequence] == [instance]

        back = user.retrieve_instance(study, series, instance, media_types=(("application/dicom", "*"),))
        assert back.PixelData == source.PixelData, path.name
        wanted = shown(source)
        uncompressed = user.retrieve_instance(study, series, instance)
        _close(shown(uncompressed), wanted, path.name)
        png = user.retrieve_instance_frames_rendered(study, series, instance, [1], media_types=("image/png",))
        picture = np.asarray(Image.open(BytesIO(png)))
        if wanted.dtype == np.uint8:
            _close(picture, wanted, path.name)
        (frame,) = user.retrieve_instance_frames(
            study, series, instance, [1], media_types=(("application/octet-stream", NATIVE),)
        )
        assert len(frame) >= source.Rows * source.Columns, path.name
        if source.file_meta.TransferSyntaxUID in (NATIVE, "1.2.840.10008.1.2"):
            described = user.retrieve_instance_metadata(study, series, instance)
            (bulk,) = user.retrieve_bulkdata(described["7FE00010"]["BulkDataURI"])
            assert bulk == source.PixelData, path.name
        compared += 1
    assert compared >= 12


def _close(picture: np.ndarray, wanted: np.ndarray, name: str) -> None:
    """The same within what two decoders of a lossy syntax may differ."""
    if picture.ndim == 2 and wanted.ndim == 3:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    assert picture.shape[:2] == wanted.shape[:2], name
    difference = np.abs(picture.astype(int) - wanted.astype(int))
    assert np.percentile(difference, 99) <= 3, (name, difference.max(), difference.mean())
