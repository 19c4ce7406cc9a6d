"""A viewer's package, npm's or a folder, as a page that runs under /viewer: unpacked safely, its addresses moved."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from echonode.core.errors import BadInput

PACKAGE, VERSION = "@ohif/app", "3.13.2"
OLDEST = (3, 12, 2)
"""Older ones fetched any address that a link named, and sent the user's token along."""
MOUNTED = "/viewer/"
_MOST_FILES, _MOST_BYTES = 5000, 1 << 30
_LONGEST_TEXT = 64 << 20
_FETCH_SECONDS = 600
_SAFE = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.@+-]*")
_NOT_KEPT = frozenset({".map"})
_Read = Callable[[], IO[bytes]]

# An address that begins at the root, and not yet at the place where the page is mounted.
_ROOT = r"/(?!/|viewer/)"
_MOVES = {
    ".js": ((rb'(\b[\w$]+\.p ?= ?")/(")', rb"\1/viewer/\2"),),
    ".css": ((rf"""(url\(["']?){_ROOT}""".encode(), rb"\1/viewer/"),),
    ".html": (
        (rf"""((?:href|src)=["']){_ROOT}""".encode(), rb"\1/viewer/"),
        (rb'(PUBLIC_URL ?= ?")/(")', rb"\1/viewer/\2"),
    ),
    ".json": ((rf'("(?:src|start_url|scope)": ?"){_ROOT}'.encode(), rb"\1/viewer/"),),
}


def fetch(folder: Path, *, version: str = VERSION) -> Path:
    """The package file, got with `npm pack` into `folder`; npm checks its digest, and no script of it runs.

    Raises:
        BadInput: npm is not installed, or does not get it.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BadInput(f"npm is not installed here; --from takes a package of {PACKAGE} that was fetched elsewhere")
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version):
        raise BadInput(f"--version: three numbers with dots were expected, not {version!r}")
    command = [npm, "pack", f"{PACKAGE}@{version}", "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"npm did not get {PACKAGE} within {_FETCH_SECONDS} s") from error
    packages = sorted(folder.glob("*.tgz"))
    if done.returncode or len(packages) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise BadInput(f"npm did not get {PACKAGE} {version}: {lines[-1][:200]}")
    return packages[0]


def install(source: Path, target: Path) -> str:
    """Make `target` the page of the package file or folder `source`, in one step; the package's version.

    What was in `target` is replaced.

    Raises:
        BadInput: no package with a page, one that is too old or too large, or a name that leads out of its folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".viewer-", dir=target.parent) as scratch:
        page = Path(scratch) / "page"
        version = _unpack(source, page)
        if not (page / "index.html").is_file():
            raise BadInput(f"{source.name} holds no page: dist/index.html was expected in it")
        for file in page.rglob("*"):
            _move_addresses(file)
        if target.exists():
            target.rename(Path(scratch) / "before")
        page.rename(target)
    return version


def _unpack(source: Path, page: Path) -> str:
    if source.is_dir():
        return _write(_of_folder(source), page, source.name)
    try:
        with tarfile.open(source, "r:gz") as package:
            return _write(_of_package(package), page, source.name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{source.name} is no package of npm: {error}") from error


def _of_package(package: tarfile.TarFile) -> Iterator[tuple[str, int, _Read]]:
    """Name below package/, size and reader of each plain file; links and devices are passed over."""
    for member in package:
        if member.isfile():

            def read(member: tarfile.TarInfo = member) -> IO[bytes]:
                content = package.extractfile(member)
                assert content is not None
                return content

            yield member.name.removeprefix("package/"), member.size, read


def _of_folder(folder: Path) -> Iterator[tuple[str, int, _Read]]:
    """As `_of_package`; a folder with an index.html of its own is taken for dist/ itself."""
    bare = "dist/" if (folder / "index.html").is_file() else ""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield bare + file.relative_to(folder).as_posix(), file.stat().st_size, partial(_opened, file)


def _opened(file: Path) -> IO[bytes]:
    return file.open("rb")


def _write(files: Iterator[tuple[str, int, _Read]], page: Path, name: str) -> str:
    version, total = "", 0
    for number, (path, size, read) in enumerate(files):
        total += size
        if number >= _MOST_FILES or total > _MOST_BYTES:
            raise BadInput(f"{name} is larger than a viewer's package can be")
        if path == "package.json":
            version = _version(read(), name)
        if not path.startswith("dist/") or PurePosixPath(path).suffix in _NOT_KEPT:
            continue
        parts = path.removeprefix("dist/").split("/")
        if not all(_SAFE.fullmatch(part) for part in parts):
            raise BadInput(f"{name} holds a file with the odd name {path[:80]!r}; nothing was installed")
        target = page.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with read() as content, target.open("xb") as out:
            shutil.copyfileobj(content, out)
        target.chmod(0o644)
    return version


def _version(content: IO[bytes], name: str) -> str:
    with content:
        try:
            told = json.loads(content.read(_LONGEST_TEXT))
            version = str(told["version"])
            numbers = tuple(int(part) for part in version.split("-")[0].split("."))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"the package.json of {name} tells no version") from error
    if told.get("name") == PACKAGE and numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BadInput(
            f"{name} is version {version}; at least {oldest} is needed: older ones can be made to leak tokens"
        )
    return version


def _move_addresses(file: Path) -> None:
    moves = _MOVES.get(file.suffix, ())
    if not moves or file.stat().st_size > _LONGEST_TEXT:
        return
    before = after = file.read_bytes()
    for pattern, replacement in moves:
        after = re.sub(pattern, replacement, after)
    if after != before:
        file.write_bytes(after)


def relative(target: Path, folder: Path) -> str:
    """`target` as node.toml in `folder` would name it."""
    return Path(os.path.relpath(target, folder)).as_posix()
