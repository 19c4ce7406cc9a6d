"""Every setting of node.toml in one typed table, with its default and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

AETitle = Annotated[
    str, StringConstraints(pattern=r"^[\x21-\x5B\x5D-\x7E]([\x20-\x5B\x5D-\x7E]{0,14}[\x21-\x5B\x5D-\x7E])?$")
]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
UID = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
GiB = 1 << 30
MiB = 1 << 20


class Section(BaseModel):
    """A table of a configuration file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSection(Section):
    """Who the node is."""

    ae_title: AETitle = Field("ECHONODE", description="AE title that scanners call")
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for every interface")
    port: Port = Field(11112, description="DICOM port")
    institution: str = Field("", max_length=64, description="Institution Name written into derived objects")
    station: str = Field(
        "echonode", max_length=16, description="Station Name and Device Serial Number of derived objects"
    )


class StorageSection(Section):
    """Where things are kept."""

    root: Path = Field(
        Path("data"),
        description="folder of objects, quarantine, spool and the database; relative to this file's folder",
    )
    database_url: str = Field("", description="SQLAlchemy URL; empty for SQLite under root")
    refuse_below_bytes: int = Field(2 * GiB, ge=0, description="C-STORE answers A700H when less than this is free")
    warn_below_bytes: int = Field(10 * GiB, ge=0, description="the log warns when less than this is free")


class DimseSection(Section):
    """Associations."""

    acceptors: int = Field(2, ge=1, le=64, description="processes that share the port")
    max_associations: int = Field(64, ge=1, le=1000, description="established associations an acceptor takes at once")
    max_per_host: int = Field(32, ge=1, le=1000, description="connections one address may hold in an acceptor")
    require_called_ae: bool = Field(True, description="refuse callers that call another AE title")
    greeting_seconds: Seconds = Field(5.0, description="time a connection has for a complete A-ASSOCIATE-RQ")
    idle_seconds: Seconds = Field(60.0, description="an association that stays silent for this long is aborted")
    stall_seconds: Seconds = Field(30.0, description="a PDU that has begun must be complete after this time")
    max_pdu_bytes: int = Field(MiB, ge=16384, le=16 * MiB, description="largest P-DATA PDU that we offer to receive")
    deflate: bool = Field(
        False, description="negotiate Deflated Explicit VR Little Endian (a bomb can be hidden in it)"
    )
    private_classes: tuple[UID, ...] = Field(
        (), description="further SOP classes to store, for example a vendor's private ones"
    )
    max_object_bytes: int = Field(8 * GiB, ge=MiB, description="largest data set that is received")


class WebSection(Section):
    """DICOMweb, the admin API and the pages."""

    enabled: bool = Field(True, description="serve DICOMweb and the admin API")
    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback a token is required")
    port: Port = Field(8080, description="HTTP port")
    workers: int = Field(2, ge=1, le=64, description="processes that share the port")
    prefix: str = Field("/dicom-web", pattern=r"^(/[A-Za-z0-9._-]+)+$", description="path that DICOMweb starts with")
    public_url: str = Field(
        "", description="address as clients see it, when a proxy stands before the node: https://echo.example.org"
    )
    allowed_origins: tuple[str, ...] = Field((), description="origins of pages that may call the node (CORS)")
    viewer: str = Field(
        "",
        description="folder of a viewer's page, served under /viewer; relative to this file's folder; empty for none",
    )
    max_body_bytes: int = Field(8 * GiB, ge=MiB, description="largest body of a STOW-RS request")
    max_document_bytes: int = Field(64 * MiB, ge=65536, description="largest JSON or XML document of a request")
    max_query_bytes: int = Field(16384, ge=1024, description="longest query string")
    max_header_bytes: int = Field(32768, ge=4096, description="request line and headers together, at most")
    max_results: int = Field(10000, ge=1, description="matches of one query, at most; the answer warns when it is cut")
    stall_seconds: Seconds = Field(30.0, description="a request whose body stays silent for this long is ended")
    idle_seconds: Seconds = Field(75.0, description="an idle connection is closed after this long")
    connections: int = Field(256, ge=1, le=10000, description="connections a process takes at once; more get 503")


class LimitsSection(Section):
    """Budgets that are checked before anything is decoded."""

    decoded_bytes: int = Field(
        4 * GiB, ge=MiB, description="rows x columns x samples x bytes x frames of one object, at most"
    )
    frames: int = Field(20000, ge=1, description="frames of one object, at most")
    frame_bytes: int = Field(256 * MiB, ge=MiB, description="one decoded frame, at most")
    nesting: int = Field(64, ge=4, le=500, description="depth of sequences, at most")
    derived_objects_per_study: int = Field(200, ge=0, description="objects that we add to one study, at most")
    derived_bytes_per_study: int = Field(8 * GiB, ge=0, description="bytes that we add to one study, at most")


class SettleSection(Section):
    """When a study counts as complete."""

    quiet_seconds: Seconds = Field(
        90.0, description="no object of the study and no open association with one of it for this long"
    )
    stress_quiet_seconds: Seconds = Field(900.0, description="as quiet_seconds, for studies with a named stage")
    longest_seconds: Seconds = Field(7200.0, description="settle at the latest this long after the first object")


class ExecutionSection(Section):
    """Where models run."""

    devices: tuple[str, ...] = Field(
        ("auto",), description='device slots: "auto", "cpu", "cuda:0"; auto takes each GPU, or the CPU'
    )
    runners_per_device: int = Field(1, ge=1, le=16, description="runner processes of one model on one device")
    threads: int = Field(0, ge=0, description="torch threads of a CPU runner; 0 takes the cores there are")
    timeout_seconds: Seconds = Field(1800.0, description="a run that takes longer is killed")
    memory_bytes: int = Field(0, ge=0, description="address space of a CPU runner; 0 sets no limit")
    idle_seconds: Seconds = Field(600.0, description="an idle runner process is ended after this long")
    batch_size: int = Field(1, ge=1, le=256, description="runs a batch, at most")
    batch_wait_seconds: float = Field(
        0.05, ge=0, le=10, description="how long the first run of a batch waits for others"
    )


class WorkSection(Section):
    """Leases, attempts and sweeps."""

    lease_seconds: Seconds = Field(60.0, description="a workitem whose worker is silent for this long is offered again")
    run_attempts: int = Field(3, ge=1, le=100, description="attempts of a run")
    delivery_attempts: int = Field(60, ge=1, le=10000, description="attempts of a delivery before it is a dead letter")
    backoff_seconds: Seconds = Field(10.0, description="pause after the first failed delivery; doubles each time")
    backoff_longest_seconds: Seconds = Field(7200.0, description="longest pause between two deliveries")
    poll_seconds: Seconds = Field(0.2, description="how often the worker looks for work")


class LogSection(Section):
    """Logs: no patient data at info and above."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe level that is written"
    )
    format: Literal["console", "json"] = Field("json", description="json lines, or coloured lines for people")


class ModelsSection(Section):
    """Model packages."""

    paths: tuple[Path, ...] = Field(
        (Path("../models"),), description="folders of model packages; relative to this file's folder"
    )
    imported: Path = Field(
        Path("data/models"), description="where `models import` writes; relative to this file's folder"
    )
    simulated_on_patients: bool = Field(
        False, description="run models that were trained on simulated data alone on patients' objects too"
    )


class SelfCheckSection(Section):
    """The nightly check: the node sends itself a simulated study and looks at what comes back."""

    enabled: bool = Field(True, description="check every night")
    at: str = Field("03:30", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="when, in this machine's time")
    timeout_seconds: Seconds = Field(3600.0, description="what has not come back after this long does not come")
    ef_points: float = Field(12.0, gt=0, description="an ejection fraction may be wrong by so many points")
    diameter_mm: float = Field(6.0, gt=0, description="an LV diameter may be wrong by so much")
    heart_rate_bpm: float = Field(6.0, gt=0, description="a heart rate may be wrong by so many beats a minute")
    dice_loss: float = Field(0.2, gt=0, le=1, description="Dice of the LV cavity may be so far below 1")
    grey_levels: float = Field(
        8.0, gt=0, description="recorded frames of slow motion may differ by so many of 255 grey levels on average"
    )


class NodeSettings(Section):
    """node.toml as a whole."""

    node: NodeSection = Field(default_factory=NodeSection)
    storage: StorageSection = Field(default_factory=StorageSection)
    dimse: DimseSection = Field(default_factory=DimseSection)
    web: WebSection = Field(default_factory=WebSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    settle: SettleSection = Field(default_factory=SettleSection)
    execution: ExecutionSection = Field(default_factory=ExecutionSection)
    work: WorkSection = Field(default_factory=WorkSection)
    models: ModelsSection = Field(default_factory=ModelsSection)
    self_check: SelfCheckSection = Field(default_factory=SelfCheckSection)
    log: LogSection = Field(default_factory=LogSection)
