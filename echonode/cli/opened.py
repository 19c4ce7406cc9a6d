"""The archive of a configuration, or a running node, opened for one command."""

from __future__ import annotations

import os
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
    from echonode.flow.console import Console

SQLITE = "sqlite:///"
TOKEN = "ECHONODE_NODE_TOKEN"  # noqa: S105  the name of a variable


@contextmanager
def opened_archive(
    config: Path | None, *, writing: bool = False, silent: bool = False
) -> Iterator[tuple[Configuration, Archive]]:
    """The configuration and its archive, closed at the end.

    Where no node has run yet an empty archive is shown, and nothing is written to the node's folders: a command that
    root tries out must not leave files there that the service may not touch. With `writing` that is an error; with
    `silent` it is not mentioned, for commands that look at the configuration alone.

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
            if not silent:
                complain(nothing)
            url = f"{SQLITE}{scratch}/empty.sqlite3"
        archive = Archive.open(url, migrate=missing, blobs=LocalBlobs(Path(scratch) if missing else configuration.root))
        try:
            yield configuration, archive
        finally:
            archive.close()


@contextmanager
def opened_console(
    config: Path | None, node: str | None, *, writing: bool = False, silent: bool = False
) -> Iterator[Console]:
    """The node that `node` is the address of, or the one of this machine's configuration; as `opened_archive`.

    Raises:
        ConfigurationError, NotFound: as `opened_archive`.
        BadInput: `node` is no address.
    """
    if node:
        from echonode.web.user import RemoteConsole

        remote = RemoteConsole(node, token=os.environ.get(TOKEN, ""))
        try:
            yield remote
        finally:
            remote.close()
        return
    from echonode.flow.console import LocalConsole
    from echonode.node import open_catalogue, open_ingest

    with opened_archive(config, writing=writing, silent=silent) as (configuration, archive):
        yield LocalConsole(
            configuration,
            archive,
            open_catalogue(configuration),
            ingest=lambda: open_ingest(configuration, archive),
        )
