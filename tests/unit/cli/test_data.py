"""`echonode data slow-motion`: what a lab types before it trains."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from echonode.cli.main import execute
from tests.support.loops import loop_dataset


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for number in range(3):
        path = tmp_path / "site" / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        loop_dataset(study_uid=f"1.2.{number}", frames=24, size=64, seed=number).save_as(path, enforce_file_format=True)
    return tmp_path / "site"


def test_clips_and_a_manifest_are_written(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    given = ["data", "slow-motion", "--train", str(site), "--out", str(out), "--size", "32x32", "--json"]
    assert execute(given) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == {"train": 2, "validation": 2, "test": 2}
    assert len(list((out / "train" / "000000").glob("*.png"))) == 12
    assert json.loads((out / "clips.json").read_text())["preparation"]["size"] == [32, 32]


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--crop", "big"], "--crop 'big'"), (["--size", "0x4"], "--size '0x4'"), (["--test-share", "1"], "test share")],
)
def test_what_makes_no_sense_is_one_line(
    given: list[str], said: str, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["data", "slow-motion", "--train", str(site), "--out", str(tmp_path / "out"), *given]) == 2
    assert said in capsys.readouterr().err


def test_preparing_data_needs_no_torch(site: Path, tmp_path: Path) -> None:
    """It takes seconds to import, and a machine that stores the loops may not have it."""
    code = (
        "import sys; from echonode.cli.main import execute; "
        f"code = execute(['data', 'slow-motion', '--train', {str(site)!r}, '--out', {str(tmp_path / 'out')!r}]); "
        "sys.exit(3 if 'torch' in sys.modules else code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
