"""How every process of echonode writes its log: structlog on top of the standard library, one line an event.

A value can come from a hostile sender: control characters are escaped, so that no object can forge a line or colour a
terminal. Patient data is withheld at info and above.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from echonode.core.settings import LogSection
from echonode.core.text import one_line

PATIENT_KEYS = frozenset(
    {
        "accessionnumber",
        "birthdate",
        "dataset",
        "identifier",
        "patient",
        "patientbirthdate",
        "patientid",
        "patientname",
        "referringphysicianname",
        "seriesdescription",
        "studydescription",
    }
)
"""Written small and without underscores: patient_id and PatientID are both withheld."""
WITHHELD = "(withheld)"
FIRST = ("timestamp", "level", "process", "event")
ACCESS = "echonode.access"
"""The logger of requests: thousands a second, so its JSON lines pass no chain of processors."""
LONGEST = 500
NOISY = {
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "pydicom": logging.ERROR,
    "PIL": logging.WARNING,
    "urllib3": logging.ERROR,
}
"""Third parties whose messages are many, or (pydicom) quote values of the data set."""


def configure_logging(section: LogSection, *, process: str = "", stream: TextIO | None = None) -> None:
    """Send every log record of this process to `stream` (standard error), as `section` decides.

    `process` names the process in every line: supervisor, acceptor, worker, runner. Calling it again replaces what an
    earlier call set.
    """
    out = stream or sys.stderr
    level = logging.getLevelNamesMapping()[section.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold_patient_data,
    ]
    if process:
        shared.insert(0, _Named(process))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *_rendering(section, colours=out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in NOISY.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.getLogger("pynetdicom").setLevel(logging.DEBUG if level <= logging.DEBUG else logging.WARNING)
    access = logging.getLogger(ACCESS)
    access.handlers[:] = [_access_handler(out, process)] if section.format == "json" else []
    access.propagate = not access.handlers
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(max(level, logging.ERROR))


def withhold_patient_data(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace the values of `PATIENT_KEYS`, below debug only."""
    if event.get("level", method) != "debug":
        for key in event:
            if key.replace("_", "").lower() in PATIENT_KEYS:
                event[key] = WITHHELD
    return event


def escape_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Write control characters as escapes and cut values that are far too long; a traceback keeps its lines."""
    trace = event.pop("exception", None)
    ordered = {key: event[key] for key in FIRST if key in event} | dict(event)
    clean: EventDict = {one_line(key): _escaped(value) for key, value in ordered.items()}
    if trace is not None:
        clean["exception"] = "\n".join(one_line(line) for line in str(trace).splitlines())
    return clean


def _escaped(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, dict):
        return {one_line(str(key)): _escaped(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_escaped(item) for item in value]
    text = one_line(str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def _rendering(section: LogSection, *, colours: bool) -> list[Processor]:
    if section.format == "json":
        return [escape_values, structlog.processors.JSONRenderer(sort_keys=False, default=str)]
    return [
        escape_values,
        structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback),
    ]


def _access_handler(stream: TextIO, process: str) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_AccessLine(process))
    return handler


class _AccessLine(logging.Formatter):
    """A record of `ACCESS` as one JSON line; its values are numbers, and text that JSON escapes."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = {"timestamp": at, "level": record.levelname.lower(), "process": self._process, "event": record.msg}
        return orjson.dumps(head | record.__dict__["request"]).decode()


class _Named:
    """Writes the process's name into every line that does not have one."""

    def __init__(self, process: str) -> None:
        self.process = process

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", self.process)
        return event
