"""The other side of a command that calls somebody: a configuration with this one peer, and files to send."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from echonode.cli.options import calling_title, configuration_if_any, existing, peer_of
from echonode.cli.screen import quiet_logs
from echonode.core.errors import BadInput, UnreadableObject

if TYPE_CHECKING:
    from echonode.core.configuration import Configuration

MARK = (128, b"DICM")


@contextmanager
def calling(to: str, given_title: str | None, config: Path | None) -> Iterator[tuple[Configuration, str]]:
    """A configuration that knows one peer, and that peer's name; scratch data lies in a folder that is removed.

    The node's own data folder is left alone: the command may be another user's than the node.

    Raises:
        BadInput: `to` or the AE title is not understood.
    """
    from echonode.core.configuration import Configuration
    from echonode.core.peers import PeersFile
    from echonode.core.routes import RoutesFile
    from echonode.core.settings import NodeSettings, StorageSection

    quiet_logs()
    peer = peer_of(to, config)
    if given_title is not None or peer.called_as is None:
        peer = peer.model_copy(update={"called_as": calling_title(given_title, config)})
    site = configuration_if_any(config)
    node = (site.node if site else NodeSettings()).model_copy(update={"storage": StorageSection()})
    with tempfile.TemporaryDirectory(prefix="echonode-") as scratch:
        yield (
            Configuration(folder=Path(scratch), node=node, peers=PeersFile(peer=(peer,)), routes=RoutesFile()),
            peer.name,
        )


def dicom_files(paths: Iterable[Path]) -> list[Path]:
    """The files that `paths` name, and every DICOM file in the folders that they name, sorted.

    Raises:
        BadInput: a path that is not there, a file that is no DICOM file, or a folder without one.
    """
    found: list[Path] = []
    for path in paths:
        if not existing(path).is_dir():
            if not is_dicom(path):
                raise UnreadableObject(f"{path}: is no DICOM file: it lacks the prefix DICM")
            found.append(path)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and is_dicom(file)]
        if not inside:
            raise BadInput(f"{path}: no DICOM file in this folder")
        found += inside
    return found


def is_dicom(file: Path) -> bool:
    """Whether the file has the prefix of PS3.10 7.1 and is no DICOMDIR."""
    offset, mark = MARK
    try:
        with file.open("rb") as stream:
            head = stream.read(offset + len(mark))
    except OSError:
        return False
    return head[offset:] == mark and file.name.upper() != "DICOMDIR"
