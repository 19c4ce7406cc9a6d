"""Orthanc as the PACS: its REST interface, and the settings of a private one on loopback."""

from __future__ import annotations

import json
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset


class Orthanc:
    """A running Orthanc and its REST interface."""

    def __init__(self, http: int, dicom: int) -> None:
        self.dicom = dicom
        self._root = f"http://127.0.0.1:{http}"

    def call(self, path: str, body: Any = None) -> Any:
        """What GET, or POST of a body, answers: a value of JSON, or bytes."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data=data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content

    def put(self, path: str, body: Any) -> None:
        """PUT a body."""
        request = urllib.request.Request(self._root + path, data=json.dumps(body).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=60).close()

    def instances(self) -> dict[str, str]:
        """What Orthanc lists: its own id of each SOP Instance UID."""
        return {
            str(each["MainDicomTags"]["SOPInstanceUID"]): str(each["ID"]) for each in self.call("/instances?expand")
        }

    def modalities(self) -> list[str]:
        """The modality of every series."""
        return [str(each["MainDicomTags"].get("Modality")) for each in self.call("/series?expand")]

    def fetch(self, folder: Path) -> dict[str, Path]:
        """Every stored object as a file, by SOP Instance UID."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        for uid, name in self.instances().items():
            found[uid] = folder / f"{uid}.dcm"
            if not found[uid].exists():
                found[uid].write_bytes(self.call(f"/instances/{name}/file"))
        return found

    def headers(self, folder: Path) -> list[tuple[Path, Dataset]]:
        """Every stored object: its file, and its data set without pixels, in the order of their content times."""
        read = [(path, pydicom.dcmread(path, stop_before_pixels=True)) for path in self.fetch(folder).values()]
        return sorted(read, key=lambda each: (str(each[1].get("ContentDate")), str(each[1].get("ContentTime"))))

    def object(self, name: str) -> Dataset:
        """One object by Orthanc's own id."""
        return pydicom.dcmread(BytesIO(self.call(f"/instances/{name}/file")))


def orthanc_settings(folder: Path, *, http: int, dicom: int) -> dict[str, Any]:
    """An Orthanc that keeps everything in `folder` and takes what it is sent."""
    return {
        "Name": "pacs", "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "StorageDirectory": str(folder), "IndexDirectory": str(folder),
        "DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False, "DicomModalities": {}, "Plugins": [],
    }  # fmt: skip
