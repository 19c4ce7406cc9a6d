"""A node's acceptor on loopback with a real archive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from echonode.archive.archive import Archive
from echonode.core.configuration import Configuration
from echonode.core.peers import Peer, PeersFile, Right
from echonode.core.routes import RoutesFile
from echonode.core.settings import DimseSection, LimitsSection, NodeSection, NodeSettings, StorageSection
from echonode.dimse.acceptor import listen, run_acceptor
from echonode.flow.ingest import Ingest
from tests.support.dimse import RawPeer

EVERYBODY = (Right.STORE, Right.QUERY, Right.RETRIEVE)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of log lines that pytest keeps would be taken for a leak."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.configure(**before)


@dataclass
class Node:
    """A running acceptor."""

    configuration: Configuration
    archive: Archive
    port: int
    stop: threading.Event
    thread: threading.Thread
    errors: list[BaseException] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.configuration.root

    def parts(self) -> list[Path]:
        return [path for path in (self.root / "parts").rglob("*.part") if path.is_file()]

    def peer(self) -> RawPeer:
        return RawPeer(self.port)


StartNode = Callable[..., Node]


@pytest.fixture
def start_node(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[StartNode]:
    """Starts acceptors; keyword arguments go to [dimse], `peers` and `limits` are whole."""
    running: list[Node] = []

    def start(
        *,
        peers: PeersFile | None = None,
        limits: LimitsSection | None = None,
        refuse_below_bytes: int = 0,
        **dimse: object,
    ) -> Node:
        port = free_port()
        settings = NodeSettings(
            node=NodeSection(port=port),
            storage=StorageSection(root=tmp_path / "data", refuse_below_bytes=refuse_below_bytes, warn_below_bytes=0),
            dimse=DimseSection.model_validate(dimse),
            limits=limits or LimitsSection(),
        )
        configuration = Configuration(
            folder=tmp_path,
            node=settings,
            peers=peers or PeersFile(allow_unknown=True, unknown_rights=EVERYBODY),
            routes=RoutesFile(),
        )
        configuration.root.mkdir(parents=True, exist_ok=True)
        archive = Archive.open(configuration.database_url, migrate=True)
        ingest = Ingest(archive=archive, blobs=archive.blobs, planner=lambda facts: [], settings=settings)
        stop, ready = threading.Event(), threading.Event()
        sock = listen(configuration)

        def run() -> None:
            try:
                run_acceptor(
                    configuration,
                    ingest=ingest,
                    archive=archive,
                    stop=stop,
                    sock=sock,
                    ready=lambda _: ready.set(),
                )
            except BaseException as error:
                node.errors.append(error)
                raise

        thread = threading.Thread(target=run, name="acceptor", daemon=True)
        node = Node(configuration=configuration, archive=archive, port=port, stop=stop, thread=thread)
        running.append(node)
        thread.start()
        assert ready.wait(10)
        return node

    yield start
    for node in running:
        node.stop.set()
        node.thread.join(timeout=20)
        alive = node.thread.is_alive()
        node.archive.close()
        assert not alive, "the acceptor did not stop"
        assert not node.errors


@pytest.fixture
def node(start_node: StartNode) -> Node:
    """An acceptor with default settings that takes everybody."""
    return start_node()


@pytest.fixture
def a_peer() -> Callable[..., Peer]:
    """A [[peer]]."""

    def make(name: str, **values: object) -> Peer:
        return Peer.model_validate({"name": name, "ae_title": name.upper(), **values})

    return make
