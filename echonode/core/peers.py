"""peers.toml: who may talk to the node, and whom it talks to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, model_validator

from echonode.core.settings import AETitle, Port, Section


class Right(StrEnum):
    """What a peer may do; C-ECHO is allowed to every peer."""

    STORE = "store"
    QUERY = "query"
    RETRIEVE = "retrieve"


class Peer(Section):
    """One [[peer]]."""

    name: str = Field(min_length=1, max_length=64, description="how routes.toml and the CLI call this peer")
    ae_title: AETitle = Field(description="its AE title, calling and called")
    host: str = Field("", description="where it listens; empty for a peer that only calls")
    port: Port | None = Field(None, description="its DICOM port; needed with host")
    dicomweb: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        max_length=500,
        description="its DICOMweb address; when given, results go there by STOW-RS instead of C-STORE",
    )
    token_file: Path | None = Field(
        None, description="file with the token that its DICOMweb wants; relative to this file's folder"
    )
    addresses: tuple[str, ...] = Field((), description="addresses or networks (CIDR) it may call from; empty for any")
    rights: tuple[Right, ...] = Field((Right.STORE,), description="store, query, retrieve")
    called_as: AETitle | None = Field(
        None, description="AE title that we call ourselves towards it; default the node's"
    )

    @model_validator(mode="after")
    def _reachable(self) -> Peer:
        if bool(self.host) != (self.port is not None):
            raise ValueError("host and port belong together")
        if self.token_file is not None and not self.dicomweb:
            raise ValueError("token_file belongs to dicomweb")
        return self

    @property
    def takes_objects(self) -> bool:
        """Whether it can be a destination."""
        return bool(self.host or self.dicomweb)


class PeersFile(Section):
    """peers.toml as a whole."""

    allow_unknown: bool = Field(False, description="accept callers that no [[peer]] names, with unknown_rights")
    unknown_rights: tuple[Right, ...] = Field((Right.STORE,), description="rights of callers that no [[peer]] names")
    peer: tuple[Peer, ...] = Field((), description="the peers")

    @model_validator(mode="after")
    def _unique(self) -> PeersFile:
        names = [peer.name for peer in self.peer]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"name {twice[0]!r} is used twice")
        return self

    def named(self, name: str) -> Peer | None:
        """The peer of that name."""
        return next((peer for peer in self.peer if peer.name == name), None)

    def titled(self, ae_title: str) -> Peer | None:
        """The first peer with that AE title, surrounding spaces ignored."""
        return next((peer for peer in self.peer if peer.ae_title.strip() == ae_title.strip()), None)
