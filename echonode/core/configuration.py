"""Reading the files of `ae_config/`; an error names file, key and what was expected, in one line."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from echonode.core.errors import ConfigurationError
from echonode.core.peers import PeersFile
from echonode.core.routes import RoutesFile
from echonode.core.settings import NodeSettings, Section
from echonode.core.tokens import TokensFile, is_open_to_strangers
from echonode.core.views import ViewsFile

S = TypeVar("S", bound=Section)
NODE_FILE, PEERS_FILE, ROUTES_FILE, TOKENS_FILE = "node.toml", "peers.toml", "routes.toml", "tokens.toml"
VIEWS_FILE = "views.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The files, read and checked against each other; every path is absolute."""

    folder: Path
    node: NodeSettings
    peers: PeersFile
    routes: RoutesFile
    tokens: TokensFile = field(default_factory=TokensFile)
    views: ViewsFile = field(default_factory=ViewsFile)

    @property
    def root(self) -> Path:
        """Where objects, quarantine, spool and the embedded database live."""
        return (self.folder / self.node.storage.root).resolve()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL, SQLite under `root` unless one is set."""
        return self.node.storage.database_url or f"sqlite:///{self.root / 'echonode.sqlite3'}"

    @property
    def model_paths(self) -> tuple[Path, ...]:
        """Folders that hold model packages, the imported ones last."""
        return (*((self.folder / path).resolve() for path in self.node.models.paths), self.imported_models)

    @property
    def imported_models(self) -> Path:
        """The folder of packages that is this node's own: what is imported, trained or registered comes into it."""
        return (self.folder / self.node.models.imported).resolve()


def read_section(path: Path, model: type[S]) -> S:
    """The checked content of one TOML file; defaults when the file does not exist.

    Raises:
        ConfigurationError: no TOML, or a wrong key, type or value.
    """
    if not path.exists():
        return model()
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{path}: cannot be read as TOML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_first_complaint(error)}") from error


def load_configuration(folder: Path) -> Configuration:
    """The configuration in `folder`.

    Raises:
        ConfigurationError: the folder or node.toml is missing, or something in the files is wrong.
    """
    folder = folder.resolve()
    if not (folder / NODE_FILE).is_file():
        raise ConfigurationError(f"{folder / NODE_FILE}: not found; --config names the folder that holds it")
    configuration = Configuration(
        folder=folder,
        node=read_section(folder / NODE_FILE, NodeSettings),
        peers=read_section(folder / PEERS_FILE, PeersFile),
        routes=read_section(folder / ROUTES_FILE, RoutesFile),
        tokens=read_section(folder / TOKENS_FILE, TokensFile),
        views=read_section(folder / VIEWS_FILE, ViewsFile),
    )
    for destination in configuration.routes.destination:
        peer = configuration.peers.named(destination.peer)
        if peer is None or not peer.takes_objects:
            lacks = "is not in peers.toml" if peer is None else "has neither host and port nor dicomweb in peers.toml"
            raise ConfigurationError(
                f"{folder / ROUTES_FILE}: destination.{destination.name}.peer: {destination.peer!r} {lacks}"
            )
    return configuration


def refuse_strangers(configuration: Configuration) -> None:
    """Nothing, when the web edge can be reached from this machine alone or asks for tokens.

    Raises:
        ConfigurationError: it would be open to everybody on the network.
    """
    web = configuration.node.web
    if is_open_to_strangers(web, configuration.tokens):
        raise ConfigurationError(
            f"{configuration.folder / NODE_FILE}: web.host: {web.host} is not loopback and there is no token; "
            "`echonode token create NAME --right query --right retrieve` makes one"
        )


def _first_complaint(error: ValidationError) -> str:
    complaint = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in complaint["loc"]) or "the file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if complaint["type"] == "extra_forbidden":
        return f"{key}: no such key{more}"
    given = repr(complaint["input"])
    shown = f", not {given if len(given) <= 60 else given[:57] + '...'}" if complaint["type"] != "missing" else ""
    return f"{key}: {complaint['msg'].removeprefix('Value error, ')}{shown}{more}"
