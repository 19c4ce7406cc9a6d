"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.core.configuration import Configuration
    from echonode.core.peers import Peer

DEFAULT_CONFIG = Path("ae_config")
MODELS = Path("models")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ECHONODE_CONFIG",
        metavar="DIR",
        help="Folder of node.toml, peers.toml and routes.toml; ae_config in the current folder when not given.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
NodeOption = Annotated[
    str | None,
    typer.Option(
        "--node",
        envvar="ECHONODE_NODE",
        metavar="URL",
        help="A running node instead of this machine's configuration: http://127.0.0.1:8080; "
        "ECHONODE_NODE_TOKEN holds its token.",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda:0.")]
PreparationOption = Annotated[
    str | None,
    typer.Option(metavar="MODE", help="published, clinical, or both with a comma; the package's when not given."),
]
FpsOption = Annotated[
    float | None, typer.Option(min=1, max=1000, help="Frames a second; the file's own when not given.")
]
ToOption = Annotated[
    str, typer.Option("--to", metavar="AET@HOST:PORT", help="The other side, or the name of a peer in peers.toml.")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="AET", help="AE title to call with; the node's own when not given.", show_default=False
    ),
]

_ADDRESS = re.compile(r"(?P<title>[^@]+)@(?P<host>\[[0-9A-Fa-f:.%]+\]|[^@:\s/]+):(?P<port>[0-9]{1,5})")
_TITLE = re.compile(r"[\x21-\x5B\x5D-\x7E](?:[\x20-\x5B\x5D-\x7E]{0,14}[\x21-\x5B\x5D-\x7E])?")


def configuration_of(config: Path | None) -> Configuration:
    """The configuration that --config, ECHONODE_CONFIG or the current folder names.

    Raises:
        ConfigurationError: the folder or a file in it is missing or wrong.
    """
    from echonode.core.configuration import load_configuration

    return load_configuration(config or DEFAULT_CONFIG)


def configuration_if_any(config: Path | None) -> Configuration | None:
    """The configuration, or None where none was named and the current folder has none.

    Raises:
        ConfigurationError: one was named, or stands here, and is wrong.
    """
    if config is None and not (DEFAULT_CONFIG / "node.toml").is_file():
        return None
    return configuration_of(config)


def model_paths(configuration: Configuration | None) -> tuple[Path, ...]:
    """Folders that hold model packages: those of the configuration; without one, `models` in the current folder, where
    a training publishes, and those of the checkout."""
    if configuration is not None:
        return configuration.model_paths
    return tuple(dict.fromkeys(path for path in (MODELS.resolve(), in_checkout(MODELS)) if path.is_dir()))


def in_checkout(path: Path) -> Path:
    """A path of the checkout that this code lies in; nothing is there where it was installed without one."""
    import echonode

    return Path(echonode.__file__).resolve().parents[1] / path


def ae_title(text: str) -> str:
    """`text` when it is an AE title (PS3.5 6.2: at most 16 characters, no backslash).

    Raises:
        BadInput: it is not.
    """
    if not _TITLE.fullmatch(text):
        raise BadInput(
            f"{text!r} is no AE title: 1 to 16 printable ASCII characters, no backslash, no space at the ends"
        )
    return text


def peer_of(text: str, config: Path | None) -> Peer:
    """The peer that `text` names: AET@HOST:PORT, or a name in peers.toml.

    Raises:
        BadInput: neither; the message says what was expected.
    """
    from echonode.core.peers import Peer

    match = _ADDRESS.fullmatch(text)
    if match:
        port = int(match["port"])
        if not 1 <= port <= 65535:
            raise BadInput(f"{text!r}: the port must be between 1 and 65535")
        return Peer(name=text[:64], ae_title=ae_title(match["title"]), host=match["host"].strip("[]"), port=port)
    if "@" in text or ":" in text:
        raise BadInput(f"{text!r} is not of the form AET@HOST:PORT, for example PACS@192.0.2.5:104")
    configuration = configuration_if_any(config)
    peer = configuration.peers.named(text) if configuration else None
    if peer is None:
        raise BadInput(f"{text!r} is neither of the form AET@HOST:PORT nor the name of a peer in peers.toml")
    if not peer.host:
        raise BadInput(f"peer {text!r} has no host and port in peers.toml")
    return peer


def calling_title(given: str | None, config: Path | None) -> str:
    """The AE title to call with: as given, or the node's."""
    if given is not None:
        return ae_title(given)
    configuration = configuration_if_any(config)
    return configuration.node.node.ae_title if configuration else "ECHONODE"


def existing(path: Path) -> Path:
    """`path` when there is something.

    Raises:
        BadInput: there is nothing, or it cannot be read.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path}: may not be read by this user")
    return path


def whoami() -> str:
    """Who gave this command, for the audit trail."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"
