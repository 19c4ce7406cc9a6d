"""A viewer's package from elsewhere is unpacked without harm, and moved to where the node serves it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from echonode.cli.main import execute
from echonode.cli.viewer_package import install
from echonode.core.errors import BadInput

INDEX = (
    '<html><head><script>window.PUBLIC_URL="/"</script><link href="/app.css"><script src="/app.js"></script>'
    '<a href="//elsewhere.example/x">x</a></head></html>'
)
FILES = {
    "dist/index.html": INDEX,
    "dist/app.js": '__webpack_require__.p = "/"; const path = "/";',
    "dist/worker.js": 'n.p="/";',
    "dist/app.css": "@font-face{src:url(/a.woff2)}.x{background:url(data:,)}",
    "dist/manifest.json": '{"icons": [{"src": "/assets/a.png"}]}',
    "dist/app.js.map": "{}",
    "README.md": "read me",
}


def package(
    path: Path,
    files: Mapping[str, str],
    *,
    version: str = "3.13.2",
    name: str = "@ohif/app",
    more: tuple[tarfile.TarInfo, ...] = (),
) -> Path:
    told = json.dumps({"name": name, "version": version})
    with tarfile.open(path, "w:gz") as tar:
        for member, content in {"package.json": told, **files}.items():
            info = tarfile.TarInfo(f"package/{member}")
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
        for info in more:
            tar.addfile(info)
    return path


def test_the_page_is_moved_to_where_it_is_served(tmp_path: Path) -> None:
    target = tmp_path / "viewer"
    for _ in range(2):  # the second one replaces the first
        assert install(package(tmp_path / "p.tgz", FILES), target) == "3.13.2"
    assert sorted(path.name for path in target.iterdir()) == [
        "app.css", "app.js", "index.html", "manifest.json", "worker.js",
    ]  # fmt: skip
    page = (target / "index.html").read_text()
    assert 'PUBLIC_URL="/viewer/"' in page
    assert 'href="/viewer/app.css"' in page
    assert 'src="/viewer/app.js"' in page
    assert 'href="//elsewhere.example/x"' in page
    assert (target / "app.js").read_text() == '__webpack_require__.p = "/viewer/"; const path = "/";'
    assert (target / "worker.js").read_text() == 'n.p="/viewer/";'
    assert "url(/viewer/a.woff2)" in (target / "app.css").read_text()
    assert '"/viewer/assets/a.png"' in (target / "manifest.json").read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_serves_as_well_and_moving_it_twice_changes_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    install(package(tmp_path / "p.tgz", FILES), first)
    assert install(first, second) == ""
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


@pytest.mark.parametrize(
    "name", ["dist/../../evil.js", "dist//evil.js", "dist/.htaccess", "dist/a\nb.js", "dist/sub/../../../evil.js"]
)
def test_a_name_that_leads_out_installs_nothing(tmp_path: Path, name: str) -> None:
    target = tmp_path / "in" / "viewer"
    with pytest.raises(BadInput, match="odd name"):
        install(package(tmp_path / "p.tgz", {**FILES, name: "evil"}), target)
    assert not target.exists()
    assert not list(tmp_path.rglob("evil.js"))


def test_links_and_devices_are_not_unpacked(tmp_path: Path) -> None:
    link, device = tarfile.TarInfo("package/dist/passwd.txt"), tarfile.TarInfo("package/dist/null.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    install(package(tmp_path / "p.tgz", FILES, more=(link, device)), tmp_path / "viewer")
    assert not list((tmp_path / "viewer").glob("*.txt"))


def test_what_is_no_page_or_too_old_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "node.toml").write_text("")
    (tmp_path / "no.tgz").write_bytes(b"no package")
    wrong = {
        tmp_path / "no.tgz": "no package of npm",
        tmp_path / "gone.tgz": "no such file",
        package(tmp_path / "old.tgz", FILES, version="3.12.1"): "at least 3.12.2 is needed",
        package(tmp_path / "odd.tgz", FILES, version="new"): "tells no version",
        package(tmp_path / "empty.tgz", {"dist/app.js": ""}): "holds no page",
    }
    for path, reason in wrong.items():
        assert execute(["viewer", "install", "--from", str(path), "--config", str(tmp_path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line
    assert not (tmp_path / "data" / "viewer").exists()


def test_the_command_says_what_to_write_where_and_changes_no_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "node.toml").write_text("[web]\nport = 8123\n")
    source = package(tmp_path / "p.tgz", FILES)
    assert execute(["viewer", "install", "--from", str(source), "--config", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "@ohif/app 3.13.2" in out
    assert 'viewer = "data/viewer"' in out
    assert "http://127.0.0.1:8123/viewer/" in out
    assert (tmp_path / "node.toml").read_text() == "[web]\nport = 8123\n"
    (tmp_path / "node.toml").write_text('[web]\nviewer = "data/viewer"\n')
    assert execute(["viewer", "install", "--from", str(source), "--config", str(tmp_path)]) == 0
    assert "names it already" in capsys.readouterr().out
