"""A scanner pushes real studies; every grey loop comes back slowed down, everything else says why it does not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.acceptance.conftest import RunningNode, listens
from tests.support.waiting import wait_until

US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def received(folder: Path) -> list[pydicom.Dataset]:
    """What the PACS has on its disk, complete files only."""
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir()) if path.suffix != ".tmp"]


@pytest.fixture
def pacs(
    tmp_path: Path,
    free_port: Callable[[], int],
    start: Callable[..., subprocess.Popen[bytes]],
    program: Callable[[str], str],
) -> tuple[int, Path]:
    """DCMTK's storescp as the PACS: its port and its folder."""
    folder, port = tmp_path / "pacs", free_port()
    folder.mkdir()
    start(program("storescp"), "+xa", "-aet", "PACS", "-od", str(folder), str(port), log=tmp_path / "storescp.log")
    wait_until(lambda: listens(port), seconds=20, what="storescp to listen")
    return port, folder


@pytest.mark.slow
@pytest.mark.parametrize("sender", ["storescu", "dcmsend"])
def test_the_stress_study_comes_back_as_slow_motion(
    sender: str,
    node: Callable[..., RunningNode],
    pacs: tuple[int, Path],
    shared_data: Path,
    program: Callable[[str], str],
) -> None:
    port, folder = pacs
    running = node(pacs_port=port)
    study = shared_data / "ultrasound" / "stress_acuson"
    sources = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in study.glob("*.dcm")}
    push(program(sender), running, study)
    wait_until(lambda: len(list(folder.iterdir())) >= len(sources), seconds=240, what="twelve loops at the PACS")
    loops = received(folder)
    assert {str(loop.SourceImageSequence[0].ReferencedSOPInstanceUID) for loop in loops} == sources
    assert {str(loop.SOPClassUID) for loop in loops} == {US_MULTI_FRAME}
    assert {str(loop.StudyInstanceUID) for loop in loops} == {
        str(pydicom.dcmread(next(study.glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID)
    }
    wait_until(
        lambda: all(item["state"] == "COMPLETED" for item in running.work()), seconds=60, what="the work to be done"
    )
    assert len(running.work("--kind", "deliver")) == len(sources)


@pytest.mark.slow
def test_the_adult_study_gives_one_loop_and_a_reason_for_each_of_the_others(
    node: Callable[..., RunningNode], pacs: tuple[int, Path], shared_data: Path, program: Callable[[str], str]
) -> None:
    port, folder = pacs
    running = node(pacs_port=port)
    study = shared_data / "ultrasound" / "adult_xario"
    push(program("storescu"), running, study)
    wait_until(lambda: any(folder.iterdir()), seconds=240, what="the grey loop at the PACS")
    wait_until(
        lambda: (work := running.work()) and all(item["state"] == "COMPLETED" for item in work),
        seconds=120,
        what="the work to be done",
    )
    grey = pydicom.dcmread(study / "I_000031.dcm", stop_before_pixels=True)
    assert [str(loop.SourceImageSequence[0].ReferencedSOPInstanceUID) for loop in received(folder)] == [
        str(grey.SOPInstanceUID)
    ]
    story = running.cli("study", "show", str(grey.StudyInstanceUID)).lower()
    assert "colour" in story
    for name in ("I_000034.dcm", "I_000038.dcm"):
        said = running.cli("routes", "explain", str(study / name)).lower()
        assert "frames" in said, said


def push(sender: str, running: RunningNode, study: Path) -> None:
    """Send every file of a study as a scanner would."""
    name = Path(sender).name
    options = ["-xy"] if name == "storescu" else ["--decompress-never"]
    files = sorted(str(path) for path in study.glob("*.dcm"))
    if name == "storescu":  # proposes one compressed syntax a run: send the two kinds in turn
        kinds: dict[str, list[str]] = {}
        for path in files:
            syntax = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID
            kinds.setdefault("-xy" if syntax.is_compressed else "-xe", []).append(path)
        groups = [([option], paths) for option, paths in kinds.items()]
    else:
        groups = [(options, files)]
    for options, paths in groups:
        done = subprocess.run(
            [sender, *options, "-aet", "SCANNER", "-aec", running.ae_title, "127.0.0.1", str(running.port), *paths],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
