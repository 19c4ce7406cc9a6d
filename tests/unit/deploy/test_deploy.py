"""What deploy/ says fits the program: commands, options, users, paths, ports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from echonode.cli.main import execute
from echonode.core.configuration import load_configuration


@pytest.fixture
def deploy(checkout: Path) -> Path:
    return checkout / "deploy"


def unit_values(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_systemd_accepts_the_unit(deploy: Path, tmp_path: Path, program: Callable[[str], str]) -> None:
    installed = Path(sys.executable).parent / "echonode"
    text = (deploy / "echonode.service").read_text()
    copy = tmp_path / "echonode.service"
    copy.write_text(text.replace("/opt/echonode/.venv/bin/echonode", str(installed)))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if "echonode.service" in line]
    assert not complaints


def test_the_unit_starts_the_node_with_a_configuration_and_a_user_of_its_own(deploy: Path) -> None:
    values = unit_values((deploy / "echonode.service").read_text())
    words = values["ExecStart"].split()
    assert words[0].endswith("/.venv/bin/echonode")
    assert words[1:3] == ["serve", "--config"]
    assert values["User"] not in ("", "root")
    assert values["Restart"] == "always"
    assert values["StateDirectory"] == "echonode"
    assert execute([words[1], "--help"]) == 0


def test_the_container_s_configuration_is_sound(deploy: Path) -> None:
    configuration = load_configuration(deploy / "container")
    assert configuration.node.node.host == "0.0.0.0"
    assert str(configuration.root) == "/var/lib/echonode"
    (destination,) = configuration.routes.destination
    pacs = configuration.peers.named(destination.peer)
    assert pacs is not None
    orthanc = json.loads((deploy / "orthanc.json").read_text())
    assert (pacs.ae_title, pacs.port) == (orthanc["DicomAet"], orthanc["DicomPort"])
    modality = orthanc["DicomModalities"]["echonode"]
    assert (modality["AET"], modality["Port"]) == (configuration.node.node.ae_title, configuration.node.node.port)
    assert orthanc["AuthenticationEnabled"]
    assert not orthanc["RegisteredUsers"], "no password may be shipped"


def test_the_container_file_copies_what_exists_and_runs_commands_that_exist(checkout: Path, deploy: Path) -> None:
    text = (deploy / "Containerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (checkout / source).exists(), source
    assert re.search(r"^USER echonode$", text, flags=re.MULTILINE)
    assert "--require-hashes" in text
    entry = json.loads(re.search(r"^ENTRYPOINT (.+)$", text, flags=re.MULTILINE)[1])  # type: ignore[index]
    command = json.loads(re.search(r"^CMD (\[\"serve.+)$", text, flags=re.MULTILINE)[1])  # type: ignore[index]
    health = json.loads(re.search(r" CMD (\[\"echonode.+)$", text, flags=re.MULTILINE)[1])  # type: ignore[index]
    assert entry == [health[0]] == ["echonode"]
    assert execute([command[0], "--help"]) == 0
    assert execute([*health[1:3], "--help"]) == 0
    configuration = load_configuration(deploy / "container")
    assert f"EXPOSE {configuration.node.node.port}" in text
    assert f"VOLUME {configuration.root}" in text
    assert health[-1] in {peer.ae_title for peer in configuration.peers.peer}


def test_the_compose_file_fits_the_container(deploy: Path) -> None:
    text = (deploy / "compose.yaml").read_text()
    port = load_configuration(deploy / "container").node.node.port
    assert f'"{port}:{port}"' in text
    assert (deploy / re.search(r"dockerfile: deploy/(\S+)", text)[1]).is_file()  # type: ignore[index]
    for source, target in re.findall(r"- (\./[^:]+):([^:]+):ro", text):
        assert (deploy / source).exists(), source
        assert target in ("/etc/echonode", "/etc/orthanc/orthanc.json")
    for volume in re.findall(r"- ([a-z-]+):/", text):
        assert re.search(rf"^  {volume}:$", text, flags=re.MULTILINE), f"volume {volume} is not declared"
    for ports in re.findall(r'"([^"]+):8042"', text):
        assert ports.startswith("127.0.0.1:"), "the PACS page must not be open to the network"


def test_docker_accepts_the_compose_file(deploy: Path) -> None:
    docker = shutil.which("docker")
    offered = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False, timeout=60)
    if not offered or offered.returncode:
        pytest.skip("this machine's docker client has no compose command")
    command = [str(docker), "compose", "-f", str(deploy / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
