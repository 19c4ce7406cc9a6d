"""What an operator types about models: one clear line for what cannot be, and rows for what was decided."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.core.configuration import load_configuration
from echonode.node import open_archive
from echonode.registry.contract_tests import Check
from tests.support.runners import write_package

SAID = ["--by", "Dr Ada", "--why", "a trial"]


@pytest.fixture
def config(tmp_path: Path, checkout: Path) -> Path:
    """The configuration of a node that has run once; its shipped models are copies."""
    folder = tmp_path / "ae_config"
    shutil.copytree(checkout / "ae_config", folder, ignore=shutil.ignore_patterns("data"))
    shutil.copytree(checkout / "models" / "optical-flow", tmp_path / "models" / "optical-flow")
    (folder / "node.toml").write_text('[web]\nenabled = false\n[models]\npaths = ["../models"]\n')
    (folder / "routes.toml").write_text('[[route]]\nname = "slow"\ntask = "slow_motion"\nmodel = "optical-flow"\n')
    open_archive(load_configuration(folder), migrate=True).close()
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "new", name="newer-flow", task="slow_motion", contract="frames_min = 2")


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """Contract tests that say what the test wants: the real ones take half a minute."""
    checks = [Check(name="loads", ok=True, says="digest 1234")]
    monkeypatch.setattr("echonode.cli.model_trial.try_out", lambda *_, **__: checks)
    return checks


def run(config: Path, *arguments: str, expected: int = 0) -> None:
    assert execute([*arguments, "--config", str(config)]) == expected


def rows(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    run(config, "models", "list", "--json")
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.usefixtures("trusting")
def test_a_life_from_the_command_line(config: Path, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rows(config, capsys)["optical-flow"]["state"] == "active (shipped)"
    run(config, "models", "register", str(package), *SAID)
    assert "newer-flow 1 is candidate" in capsys.readouterr().out
    run(config, "models", "promote", "newer-flow", "--shadow", *SAID)
    assert "newer-flow 1 is shadow in line optical-flow; routes: slow" in capsys.readouterr().out
    run(config, "models", "promote", "newer-flow", "--active", *SAID)
    assert "in the place of optical-flow" in capsys.readouterr().out
    found = rows(config, capsys)
    assert {name: row["state"] for name, row in found.items()} == {"newer-flow": "active", "optical-flow": "retired"}
    assert found["newer-flow"]["line"] == "optical-flow"
    assert found["newer-flow"]["since"] > 0
    run(config, "models", "remove", "newer-flow", *SAID, expected=1)
    assert "model newer-flow is active: it cannot be removed; retire it first" in capsys.readouterr().err
    run(config, "models", "rollback", "optical-flow", *SAID)
    folder = config / "data" / "models" / "newer-flow"
    assert folder.is_dir()
    run(config, "models", "remove", "newer-flow", *SAID)
    assert not folder.exists()
    capsys.readouterr()
    run(config, "models", "show", "newer-flow", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [row["event"] for row in told["history"]] == ["register", "shadow", "activate", "displace", "remove"]
    assert {row["by"].partition(" (")[0] for row in told["history"]} == {"Dr Ada"}
    assert told["checks"] == {"loads": {"ok": True, "says": "digest 1234"}}


def test_a_package_that_fails_stays_out_with_one_line(
    config: Path, package: Path, trusting: list[Check], capsys: pytest.CaptureFixture[str]
) -> None:
    trusting.append(Check(name="nonsense", ok=False, says="noise: crashed\n(signal 11)"))
    run(config, "models", "register", str(package), *SAID, expected=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "newer-flow fails its contract tests: nonsense: noise: crashed (signal 11)" in line
    assert "newer-flow" not in rows(config, capsys)
    assert list((config / "data" / "models").iterdir()) == []


def test_what_a_runner_logs_while_it_is_tried_is_no_second_line(config: Path, package: Path) -> None:
    """A script that reads why a package was refused would take the log for it."""
    program = (
        "import logging, sys\n"
        "from echonode.cli import main, model_trial\n"
        "from echonode.registry.contract_tests import Check\n"
        "def fails(*_, **__):\n"
        "    logging.getLogger('echonode.execution.lane').warning('runner failed')\n"
        "    return [Check(name='loads', ok=False, says='no such layer')]\n"
        "model_trial.try_out = fails\n"
        "sys.exit(main.execute(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "models", "register", str(package), *SAID, "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "echonode: model newer-flow fails its contract tests: loads: no such layer\n"


@pytest.mark.usefixtures("trusting")
def test_registering_what_a_route_names_does_not_stop_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(config, "models", "register", "optical-flow", *SAID)
    assert rows(config, capsys)["optical-flow"]["state"] == "active"


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["promote", "optical-flow", *SAID], "one of --shadow and --active"),
        (["promote", "optical-flow", "--shadow", "--active", *SAID], "one of --shadow and --active"),
        (["promote", "nope", "--active", *SAID], "there is no model 'nope'"),
        (["promote", "optical-flow", "--active", "--line", "nowhere", *SAID], "there is no line 'nowhere'"),
        (["rollback", "optical-flow", *SAID], "nothing to go back to"),
        (["remove", "optical-flow", *SAID], "model optical-flow is shipped: it cannot be removed; retire it first"),
        (["retire", "optical-flow", "--by", " ", "--why", "x"], "--by"),
        (["register", "no/such/folder", *SAID], "no such file or folder"),
        (["register", "../models/optical-flow", *SAID], "no such file or folder"),
    ],
)
def test_what_cannot_be_is_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert execute(["models", *arguments, "--config", str(config)]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


@pytest.mark.usefixtures("trusting")
def test_a_package_that_is_not_this_node_s_own_is_never_removed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkout, or a folder that other nodes look at too, would lose its model for good."""
    run(config, "models", "register", "optical-flow", *SAID)
    run(config, "models", "retire", "optical-flow", *SAID)
    capsys.readouterr()
    run(config, "models", "remove", "optical-flow", *SAID, expected=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert "model optical-flow does not lie in models.imported" in line
    assert (tmp_path / "models" / "optical-flow" / "manifest.toml").is_file()
    assert rows(config, capsys)["optical-flow"]["state"] == "retired"


@pytest.mark.usefixtures("trusting")
def test_a_package_whose_folder_is_gone_can_be_removed_and_nothing_else_goes(
    config: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its row would stand for ever; and a folder of that name where the command is given is somebody else's."""
    run(config, "models", "register", str(package), *SAID)
    shutil.rmtree(load_configuration(config).imported_models / "newer-flow")
    other = tmp_path / "elsewhere" / "newer-flow"
    other.mkdir(parents=True)
    monkeypatch.chdir(other.parent)
    run(config, "models", "remove", "newer-flow", *SAID)
    assert other.is_dir()
    assert "newer-flow" not in rows(config, capsys)


def test_a_line_does_one_task(
    config: Path, tmp_path: Path, trusting: list[Check], capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_package(tmp_path / "new", name="other", task="mmode")
    run(config, "models", "register", str(other), *SAID)
    run(config, "models", "promote", "other", "--active", "--line", "optical-flow", *SAID, expected=2)
    assert "line optical-flow is for slow_motion; other is for mmode" in capsys.readouterr().err
    unknown = write_package(tmp_path / "new", name="odd", task="nothing-known")
    run(config, "models", "register", str(unknown), *SAID, expected=2)
    assert "no installed task is called 'nothing-known'" in capsys.readouterr().err


def test_verify_and_register_refuse_a_wrong_package_alike(
    config: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "extra.py").write_text("raise SystemExit")
    for command in (["verify", str(package)], ["register", str(package), *SAID]):
        run(config, "models", *command, expected=2)
        (line,) = capsys.readouterr().err.splitlines()
        assert "data, never code" in line
