"""The model packages that this node has, looked up by name and verified before they are used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from echonode.core.errors import NotFound, PackageInvalid
from echonode.core.package import Package
from echonode.registry.manifest import Manifest
from echonode.registry.verify import MANIFEST_FILE, read_manifest, verify

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def is_model_name(text: str) -> bool:
    """Whether a package may be called so: lower-case letters, digits, dots, dashes, at most 63."""
    return _NAME.fullmatch(text) is not None


class Catalogue:
    """Packages under `paths`, each a folder of folders; a path that does not exist holds none.

    A package is verified once for each state of its files (size and time of change of every file), so that asking
    again is cheap and a changed file is noticed.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._verified: dict[Path, tuple[object, Package]] = {}

    def names(self) -> list[str]:
        """Names of every folder that holds a manifest, sorted; whether it is sound is said by `get`."""
        return sorted({path.parent.name for root in self._paths for path in root.glob(f"*/{MANIFEST_FILE}")
                       if _NAME.fullmatch(path.parent.name)})  # fmt: skip

    def manifest(self, name: str) -> Manifest:
        """The manifest of `name`; its weights are not looked at.

        Raises:
            NotFound: there is no such package.
            PackageInvalid: its manifest is wrong.
        """
        return read_manifest(self._folder(name))

    def get(self, name: str) -> Package:
        """The verified package `name`.

        Raises:
            NotFound: there is no such package.
            PackageInvalid: its manifest, a digest or a file is wrong.
        """
        folder = self._folder(name)
        state = _state(folder)
        known = self._verified.get(folder)
        if known is None or known[0] != state:
            known = (state, verify(folder))
            self._verified[folder] = known
        return known[1]

    def folder(self, name: str) -> Path:
        """Where `name` lies.

        Raises:
            NotFound: there is no such package.
            PackageInvalid: it lies in two folders.
        """
        return self._folder(name)

    def _folder(self, name: str) -> Path:
        if not is_model_name(name):
            raise NotFound(f"{name[:80]!r} is no model name: lower-case letters, digits, dots, dashes, at most 63")
        found = [root / name for root in self._paths if (root / name / MANIFEST_FILE).is_file()]
        if not found:
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"there is no model {name!r}; there are: {known}")
        if len({path.resolve() for path in found}) > 1:
            raise PackageInvalid(f"model {name!r} is in two folders: {found[0].parent} and {found[1].parent}")
        return found[0]


def _state(folder: Path) -> object:
    return tuple(
        (path.name, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        for path in sorted(folder.iterdir())
        for stat in (path.lstat(),)
    )
