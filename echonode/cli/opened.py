"""The archive of a configuration, opened for one command."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from echonode.cli.options import configuration_of
from echonode.cli.screen import complain
from echonode.core.errors import NotFound

if TYPE_CHECKING:
    from echonode.archive.archive import Archive
    from echonode.core.configuration import Configuration

SQLITE = "sqlite:///"


@contextmanager
def opened_archive(config: Path | None, *, writing: bool = False) -> Iterator[tuple[Configuration, Archive]]:
    """The configuration and its archive, closed at the end.

    Where no node has run yet an empty archive is shown, and nothing is written to the node's folders: a command that
    root tries out must not leave files there that the service may not touch. With `writing` that is an error.

    Raises:
        ConfigurationError: the configuration is missing or wrong.
        NotFound: `writing`, and no node has run yet.
    """
    from echonode.archive.archive import Archive
    from echonode.archive.blobs import LocalBlobs

    configuration = configuration_of(config)
    url = configuration.database_url
    with tempfile.TemporaryDirectory(prefix="echonode-") as scratch:
        missing = url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists()
        if missing:
            nothing = f"no node has run yet with the configuration in {configuration.folder}"
            if writing:
                raise NotFound(nothing)
            complain(nothing)
            url = f"{SQLITE}{scratch}/empty.sqlite3"
        archive = Archive.open(url, migrate=missing, blobs=LocalBlobs(Path(scratch) if missing else configuration.root))
        try:
            yield configuration, archive
        finally:
            archive.close()
