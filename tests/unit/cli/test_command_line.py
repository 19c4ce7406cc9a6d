"""Bad input on the command line is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from echonode.cli.main import execute


@pytest.fixture
def config(tmp_path: Path, checkout: Path) -> Path:
    """A copy of the shipped configuration that no node has run with."""
    folder = tmp_path / "ae_config"
    shutil.copytree(checkout / "ae_config", folder, ignore=shutil.ignore_patterns("data"))
    text = (folder / "node.toml").read_text()
    (folder / "node.toml").write_text(text.replace('"../models"', json.dumps(str(checkout / "models"))))
    return folder


WRONG = [
    ("node.toml", '[node]\nae_titel = "X"\n', "node.ae_titel: no such key"),
    ("node.toml", "[node]\nport = 99999\n", "node.port: Input should be less than or equal to 65535, not 99999"),
    ("node.toml", '[node]\nport = "high"\n', "node.port: Input should be a valid integer"),
    ("node.toml", '[node]\nae_title = "MUCH_TOO_LONG_A_TITLE"\n', "node.ae_title: String should match pattern"),
    ("node.toml", "[nodes]\n", "nodes: no such key"),
    ("node.toml", "[node\n", "cannot be read as TOML"),
    ("node.toml", '[log]\nlevel = "loud"\n', "log.level: Input should be 'debug', 'info', 'warning' or 'error'"),
    ("node.toml", "[work]\nlease_seconds = 0\n", "work.lease_seconds: Input should be greater than 0, not 0"),
    ("node.toml", "[dimse]\ndeflate = 3\n", "dimse.deflate: Input should be a valid boolean"),
    ("node.toml", '[execution]\ndevices = "cpu"\n', "execution.devices: Input should be a valid tuple, not 'cpu'"),
    ("peers.toml", '[[peer]]\nname = "a"\n', "peer.0.ae_title: Field required"),
    ("peers.toml", '[[peer]]\nname = "a"\nae_title = "A"\nhost = "h"\n', "host and port belong together"),
    ("peers.toml", '[[peer]]\nname = "a"\nae_title = "A"\nrights = ["all"]\n', "peer.0.rights.0: Input should be"),
    ("routes.toml", '[[route]]\nname = "a"\ntask = "t"\n', "route.0.model: Field required"),
    ("routes.toml", '[[route]]\nname = "a b"\ntask = "t"\nmodel = "m"\n', "route.0.name: String should match pattern"),
    ("routes.toml", '[[destination]]\nname = "d"\npeer = "nobody"\n', "'nobody' is not in peers.toml"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "content", "complaint"), WRONG, ids=[row[2][:40] for row in WRONG])
def test_a_wrong_configuration_stops_the_start_with_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, complaint: str
) -> None:
    (config / file).write_text(content)
    assert execute(["serve", "--config", str(config)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(config / file) in line
    assert complaint in line


BROKEN_ROUTES = [
    ("routes.toml", '[[route]]\nname = "a"\ntask = "slow_motion"\nmodel = "none"\n', "route.a.model: there is no model 'none'"),
    ("routes.toml", '[[route]]\nname = "a"\ntask = "mmode"\nmodel = "optical-flow"\n', "route.a.task: model 'optical-flow' is for"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "content", "complaint"), BROKEN_ROUTES, ids=[row[2][:40] for row in BROKEN_ROUTES])
def test_a_check_names_routes_whose_model_cannot_run(
    config: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, complaint: str
) -> None:
    (config / file).write_text(content)
    assert execute(["serve", "--check", "--config", str(config)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_sound_configuration_is_described(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["serve", "--check", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "ECHONODE on 127.0.0.1:11112" in out
    assert "slow-motion: refined-flow" in out


BAD = [
    (["bogus"], "No such command 'bogus'"),
    (["work", "show", "zzz"], "no workitem 'zzz'"),
    (["work", "list", "--limit", "0"], "--limit"),
    (["work", "list", "--state", "lost"], "'lost' is not one of"),
    (["work", "retry", "zzz"], "no node has run yet"),
    (["study", "show", "1.2.3"], "no study has the UID or accession number '1.2.3'"),
    (["request", "slow_motion", "1.2.3", "-p", "factor"], "not of the form KEY=VALUE"),
    (["models", "show", "nope"], "there is no model 'nope'; there are: optical-flow"),
    (["models", "import", "superslomo", "no-such-file", "--name", "x"], "no-such-file: no such file or folder"),
    (["routes", "explain", "no-such-file"], "no-such-file: no such file or folder"),
    (["routes", "explain", "1.2.3"], "no stored object has the SOP Instance UID 1.2.3"),
    (["pause", "route", "nope"], "no node has run yet"),
    (["demo", "--factor", "1"], "--factor"),
    (["run", "slow-motion", "no-such-file", "--out", "o"], "no-such-file: no such file or folder"),
    (["run", "slow-motion", "no-such-file", "--out", "o", "--factor", "99"], "--factor"),
    (["send", "no-such-file", "--to", "PACS@127.0.0.1:104"], "no-such-file: no such file or folder"),
    (["send", ".", "--to", "PACS-127.0.0.1"], "neither of the form AET@HOST:PORT nor the name of a peer"),
    (["send", ".", "--to", "WAY_TOO_LONG_A_TITLE@h:104"], "is no AE title"),
    (["send", ".", "--to", "PACS@h:99999"], "between 1 and 65535"),
    (["query", "--to", "@:"], "AET@HOST:PORT"),
    (["peers", "check", "nobody"], "nor the name of a peer"),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD, ids=[" ".join(row[0]) for row in BAD])
def test_bad_input_is_one_line_and_exit_code_2(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ECHONODE_CONFIG", str(config))
    assert execute(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.endswith(str(config))] or [
        "no node has run yet"
    ]
    assert len(lines) == 1
    assert complaint in lines[0]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["work", "list"], ["models", "list"], ["refused"], ["study", "list"]]
)
def test_commands_that_only_look_leave_torch_unloaded(config: Path, arguments: list[str]) -> None:
    program = (
        "import sys\nfrom echonode.cli.main import execute\ncode = execute(sys.argv[1:])\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'scipy', 'highdicom'} & set(sys.modules)\n"
        "sys.exit(code or (f'loaded {heavy}' if heavy else 0))"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={"ECHONODE_CONFIG": str(config)}
    )
    assert done.returncode == 0, done.stderr


def test_help_needs_neither_the_database_nor_dicom(config: Path) -> None:
    program = (
        "import sys\nfrom echonode.cli.main import execute\nexecute(['--help'])\n"
        "heavy = {'sqlalchemy', 'pydicom', 'pynetdicom', 'numpy', 'alembic'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_looking_before_the_first_start_leaves_no_files_behind(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(config.rglob("*"))
    assert execute(["work", "list", "--config", str(config)]) == 0
    assert execute(["pause", "route", "slow-motion", "--config", str(config)]) == 2
    assert sorted(config.rglob("*")) == before
    assert "no workitems" in capsys.readouterr().out


def test_json_is_json_also_when_there_is_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["work", "list"], ["refused"], ["conflicts"], ["quarantine", "list"], ["study", "list"]):
        assert execute([*arguments, "--json", "--config", str(config)]) == 0
        assert json.loads(capsys.readouterr().out) == []
