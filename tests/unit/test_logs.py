"""What stands in the log: one line an event, nothing that a sender can forge, no patient data at info and above."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from echonode.core.settings import LogSection
from echonode.core.text import one_line
from echonode.logs import WITHHELD, configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Puts the root logger back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_time_level_process_and_event() -> None:
    out = io.StringIO()
    configure_logging(LogSection(), process="worker", stream=out)
    logging.getLogger("echonode.somewhere").info("stored %d objects", 3, extra={"study_uid": "1.2"})
    (line,) = lines_of(out)
    assert list(line)[:4] == ["timestamp", "level", "process", "event"]
    assert (line["process"], line["event"], line["study_uid"]) == ("worker", "stored 3 objects", "1.2")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_hostile_value_cannot_forge_a_line_or_colour_a_terminal(style: str) -> None:
    out = io.StringIO()
    configure_logging(LogSection(format=style), stream=out)
    logging.getLogger("echonode").warning("from %s", "EVIL\r\n2026 [info] all is well\x1b[2J", extra={"ae": "A\nB\x1b"})
    assert out.getvalue().count("\n") == 1
    assert not set(out.getvalue()) & {"\r", "\x1b"}


@pytest.mark.parametrize("key", ["patient_id", "PatientName", "patient_birth_date", "accession_number", "identifier"])
def test_patient_data_is_withheld_at_info_and_written_at_debug(key: str) -> None:
    out = io.StringIO()
    configure_logging(LogSection(level="debug"), stream=out)
    logger = logging.getLogger("echonode")
    for level in (logging.DEBUG, logging.INFO, logging.ERROR):
        logger.log(level, "stored", extra={key: "secret"})
    assert [line[key] for line in lines_of(out)] == ["secret", WITHHELD, WITHHELD]


def test_structlog_and_the_standard_library_write_alike() -> None:
    out = io.StringIO()
    configure_logging(LogSection(), stream=out)
    structlog.get_logger("echonode").info("run ended", run="7")
    logging.getLogger("echonode").info("run ended", extra={"run": "7"})
    first, second = lines_of(out)
    assert first.keys() == second.keys()


def test_levels_are_honoured_and_chatty_libraries_are_kept_down() -> None:
    out = io.StringIO()
    configure_logging(LogSection(level="warning"), stream=out)
    logging.getLogger("echonode").info("not written")
    logging.getLogger("pydicom").warning("Invalid value for VR PN: 'DOE^JOHN'")
    logging.getLogger("echonode").error("written")
    assert [line["event"] for line in lines_of(out)] == ["written"]


def test_an_overlong_value_is_cut() -> None:
    out = io.StringIO()
    configure_logging(LogSection(), stream=out)
    logging.getLogger("echonode").info("x" * 100_000)
    assert len(out.getvalue()) < 1000


def test_one_line_writes_direction_marks_out() -> None:
    assert one_line("a\u202eb\x00") == "a\\u202eb\\x00"
    assert one_line("Müller 山田") == "Müller 山田"
