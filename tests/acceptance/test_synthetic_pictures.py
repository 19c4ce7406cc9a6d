"""A synthetic picture that a live node makes: valid, marked on every level, and in no patient's study."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.acceptance.conftest import ECHONODE, RunningNode
from tests.support import received
from tests.support.orthanc import Orthanc
from tests.support.phantoms import write_phantom
from tests.support.shipped import shipped_routes
from tests.support.waiting import wait_until

ROUTE = """
[[route]]
name = "synthesis"
task = "synthesis"
model = "tiny"
after = "segmentation"
parameters = { phase = "ED", steps = 2 }
deliver_to = ["pacs"]

"""
TINY = {"image_size": 64, "model_channels": 32, "num_head_channels": 32}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_synthetic_pictures_reach_a_pacs_that_asks_for_them_outside_the_patient_s_study(
    orthanc: Orthanc,
    node: Callable[..., RunningNode],
    program: Callable[[str], str],
    checkout: Path,
    tmp_path: Path,
) -> None:
    """A picture of nobody would be read as the patient's."""
    import torch

    from echonode.tasks.common.parity import by_rule
    from echonode.tasks.synthesis.net import build

    checkpoint = tmp_path / "ema_0.9999_000001.pt"
    torch.save(by_rule(build("sdm-unet", **TINY)), checkpoint)
    options = ["-o", "num_head_channels=32", "-o", "licence=MIT"]
    command = [
        ECHONODE,
        "models",
        "import",
        "sdm",
        str(checkpoint),
        "--name",
        "tiny",
        "--into",
        str(tmp_path / "models"),
    ]
    subprocess.run([*command, *options], check=True, timeout=120)
    routes = shipped_routes(checkout, only=("segmentation",)).replace('"rejection"]', '"rejection", "synthetic"]')
    running = node(
        pacs_port=orthanc.dicom,
        pacs_title="ORTHANC",
        routes=routes.replace("\n[report]\n", f"\n{ROUTE}\n[report]\n"),
        models=f"imported = '{tmp_path / 'models'}'",
        execution='devices = ["cpu"]\nthreads = 1',
    )
    source = write_phantom(tmp_path / "study")["A4C"]
    told = pydicom.dcmread(source, stop_before_pixels=True)
    sender = [program("storescu"), "-xy", "-aet", "SCANNER", "-aec", running.ae_title, "127.0.0.1", str(running.port)]
    subprocess.run([*sender, str(source)], check=True, timeout=60)
    wait_until(lambda: "OT" in orthanc.modalities(), "a synthetic picture in Orthanc", seconds=240, every=0.5)
    made = [pair for pair in orthanc.headers(tmp_path / "received") if pair[1].Modality == "OT"]
    ((path, picture),) = made
    assert (picture.SyntheticData, picture.ConversionType, picture.ContentQualification) == ("YES", "SYN", "RESEARCH")
    assert picture.StudyInstanceUID != told.StudyInstanceUID
    assert picture.PatientID != told.PatientID
    assert received.errors_beyond([source], [path]) == {}
    assert received.disagreements_beyond([source], [path]) == []
