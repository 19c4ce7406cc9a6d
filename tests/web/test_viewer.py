"""OHIF's page against a real node, in a real browser: what an echo reader sees, and how fast it moves.

The page is not in the project: `echonode viewer install` puts it into a node's data folder; here it is looked for in
build/viewer and ae_config/data/viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.support.live import LiveNode, send
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until

# pydicom warns of names that scanners really write
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
FACTOR = 4
FRAMES, FRAME_MS = 30, 33.333
EVIL = "<script>stolen()</script><b>Doe^Jane"
# Software compositing leaves a machine without a GPU enough time to play at full speed.
BROWSER = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing",
]  # fmt: skip
PLAYED = """seconds => new Promise(done => {
    const canvas = document.querySelector('canvas.cornerstone-canvas');
    const element = canvas.closest('[data-viewport-uid]');
    const shown = [], began = performance.now();
    const note = event => shown.push([performance.now() - began, Number(event.detail.imageId.split('/frames/')[1])]);
    element.addEventListener('CORNERSTONE_STACK_NEW_IMAGE', note);
    setTimeout(() => {
        element.removeEventListener('CORNERSTONE_STACK_NEW_IMAGE', note);
        done(shown);
    }, seconds * 1000);
})"""
PICTURES = """seconds => new Promise(done => {
    const canvas = document.querySelector('canvas.cornerstone-canvas');
    const small = document.createElement('canvas');
    small.width = small.height = 64;
    const context = small.getContext('2d', {willReadFrequently: true}), seen = new Set(), began = performance.now();
    const look = () => {
        context.drawImage(canvas, 0, 0, 64, 64);
        seen.add(context.getImageData(0, 0, 64, 64).data.reduce((sum, value) => (sum * 31 + value) % 2147483647, 7));
        if (performance.now() - began < seconds * 1000) requestAnimationFrame(look); else done(seen.size);
    };
    look();
})"""


@dataclass
class Site:
    """A node that holds a study with a real cine and its slow-motion loop, and a study whose patient's name would run."""

    node: LiveNode
    study_uid: str
    shots: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.web_port}"


@dataclass
class Watched:
    """A page, what it complained of, and where it went."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def viewer_folder(checkout: Path) -> Path:
    for folder in (checkout / "build" / "viewer", checkout / "ae_config" / "data" / "viewer"):
        if (folder / "index.html").is_file():
            return folder
    pytest.skip("the viewer's page is not there: echonode viewer install gets it")


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    program: Callable[[str], str],
    viewer_folder: Path,
    shared_data: Path,
    checkout: Path,
) -> Iterator[Site]:
    import socket

    program("chromium")
    ports = []
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("viewer")
    node = LiveNode(
        folder / "node",
        port=ports[0],
        pacs_port=ports[1],
        web_port=ports[2],
        checkout=checkout,
        more=f'viewer = "{viewer_folder}"\n',
    )
    (node.config / "routes.toml").write_text(
        '[[route]]\nname = "slow"\ntask = "slow_motion"\nmodel = "optical-flow"\n'
        f'parameters = {{factor = {FACTOR}}}\nwhen = {{modality = ["US"], frames_min = 2}}\n'
    )
    node.start()
    try:
        cine = pydicom.dcmread(shared_data / "ultrasound" / "single" / "examples_ybr_color.dcm")
        assert send(node.port, cine, loop_dataset(frames=3, patient_name=EVIL)) == [0, 0]
        study_uid = str(cine.StudyInstanceUID)
        with node.archive() as archive:
            wait_until(
                lambda: any(each.derived for each in archive.index.instances(study_uid=study_uid)),
                "the slow-motion loop",
                seconds=240,
            )
        yield Site(node=node, study_uid=study_uid, shots=folder)
    finally:
        node.close()


@pytest.fixture
def watched(site: Site, program: Callable[[str], str]) -> Iterator[Watched]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=BROWSER)
        page = browser.new_page(viewport={"width": 640, "height": 480})
        page.set_default_timeout(120_000)
        watched = Watched(page=page)
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("console", lambda line: watched.complaints.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: watched.addresses.append(request.url))
        yield watched
        browser.close()


def nothing_went_wrong(watched: Watched, site: Site) -> None:
    assert watched.complaints == []
    assert [a for a in watched.addresses if not a.startswith((site.url + "/", "blob:", "data:"))] == []


def rate_of(page: Any, expected: float, frames: int) -> float:
    """Frames a second that the page shows; of four looks the one nearest to what is expected: the machine is shared."""
    found = []
    for _ in range(4):
        shown = page.evaluate(PLAYED, 4)
        assert len(shown) > 2, "the loop stands still"
        steps = [(after[1] - before[1]) % frames for before, after in pairwise(shown)]
        assert steps.count(1) >= 0.95 * len(steps), f"frames are left out or turn back: {steps}"
        found.append((len(shown) - 1) * 1000 / (shown[-1][0] - shown[0][0]))
        if abs(found[-1] / expected - 1) < 0.05:
            break
    return min(found, key=lambda rate: abs(rate - expected))


def test_the_study_list_shows_every_study_and_runs_no_name(site: Site, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{site.url}/viewer/")
    page.get_by_text("PLA", exact=True).first.wait_for()
    page.get_by_text(EVIL.partition("^")[0]).wait_for()
    page.screenshot(path=site.shots / "list.png")
    assert page.locator("script", has_text="stolen").count() == 0
    nothing_went_wrong(watched, site)


def test_a_cine_plays_at_its_speed_and_its_slow_motion_n_times_slower(site: Site, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{site.url}/viewer/viewer?StudyInstanceUIDs={site.study_uid}")
    page.locator("canvas.cornerstone-canvas").first.wait_for()
    for button in ("Skip all", "Confirm and hide"):
        page.get_by_text(button).first.click()
    real = rate_of(page, 1000 / FRAME_MS, FRAMES)
    assert page.evaluate(PICTURES, 3) >= FRAMES * 0.8
    page.screenshot(path=site.shots / "cine.png")
    assert real == pytest.approx(1000 / FRAME_MS, rel=0.1)

    page.get_by_text("S:9001").first.dblclick()
    frames = (FRAMES - 1) * FACTOR + 1
    page.get_by_text(f"/{frames})").first.wait_for()
    slow = rate_of(page, 1000 / FRAME_MS, frames)
    assert page.evaluate(PICTURES, 6) >= frames * 0.7
    page.screenshot(path=site.shots / "slow.png")
    print(f"shown a second: {real:.2f} frames of the cine, {slow:.2f} of its slow motion")
    # Between two acquired frames lie FACTOR steps of the slow loop: that is how much slower the heart moves.
    assert real / (slow / FACTOR) == pytest.approx(FACTOR, rel=0.1)
    nothing_went_wrong(watched, site)
