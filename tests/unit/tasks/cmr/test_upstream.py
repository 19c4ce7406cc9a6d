"""The authors' files under each prefix that training code leaves; the published ones know what they answer."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from echonode.core.errors import CheckpointRefused
from echonode.tasks.cmr import upstream
from echonode.tasks.cmr.net import build
from echonode.tasks.cmr.upstream import PUBLISHED, Published, import_cmr
from echonode.tasks.common.checkpoint import outline
from echonode.tasks.common.parity import by_rule

State = dict[str, Any]
SAID = {"view": "A2C", "finding": "scar"}


@pytest.fixture(scope="module")
def network() -> State:
    torch.set_num_threads(1)
    return by_rule(outline(partial(build, "r2plus1d-18")))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    return folder


def _saved(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "file.pt"
    torch.save(content, file)
    return file


def test_every_prefix_gives_the_same_weights(tmp_path: Path, package: Path, network: State) -> None:
    written = set()
    for prefix in ("m.", "model.", "backbone."):
        state = {prefix + key: value for key, value in network.items()}
        import_cmr(_saved(tmp_path, {"state_dict": state} if prefix == "model." else state), package, SAID)
        written.add(hashlib.sha256((package / "classifier.safetensors").read_bytes()).hexdigest())
    assert len(written) == 1


def test_the_six_published_files_are_known() -> None:
    assert {(file.view, file.finding) for file in PUBLISHED.values()} == {
        (view, finding) for view in ("A4C", "A2C", "PLAX") for finding in ("wall-motion", "scar")
    }
    assert all(file.file.startswith(file.view) for file in PUBLISHED.values())


def test_a_published_file_needs_no_word_and_takes_no_wrong_one(
    tmp_path: Path, package: Path, network: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _saved(tmp_path, {f"m.{key}": value for key, value in network.items()})
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(upstream, "PUBLISHED", {digest: Published("PLAX_Scar.pt", "PLAX", "scar")})
    tables = import_cmr(file, package, {})
    assert tables["config"]["finding"] == "scar"
    assert tables["input"]["views"] == ["PLAX"]
    assert tables["evaluated"] == ["published"]
    assert "not for diagnosis" in tables["intended_use"]
    with pytest.raises(CheckpointRefused, match="published one for PLAX, not for A4C"):
        import_cmr(file, package, {"view": "A4C"})


def test_any_other_file_must_be_told(tmp_path: Path, package: Path, network: State) -> None:
    file = _saved(tmp_path, network)
    with pytest.raises(CheckpointRefused, match="view must be said"):
        import_cmr(file, package, {"finding": "scar"})
    with pytest.raises(CheckpointRefused, match="finding must be said"):
        import_cmr(file, package, {"view": "A4C"})
    tables = import_cmr(file, package, SAID | {"threshold": "0.4"})
    assert tables["config"]["threshold"] == 0.4
    assert tables["evaluated"] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"view": "A5C", "finding": "scar"}, "A4C, A2C, PLAX is expected"),
        ({"view": "A4C", "finding": "T1"}, "wall-motion, scar, native-t1, t2, ecv is expected"),
        (SAID | {"threshold": "2"}, "between 0 and 1"),
        (SAID | {"fps": "30"}, "takes no option fps"),
    ],
)
def test_wrong_words(options: dict[str, str], says: str, tmp_path: Path, package: Path, network: State) -> None:
    with pytest.raises(CheckpointRefused, match=says):
        import_cmr(_saved(tmp_path, network), package, options)


def test_files_that_are_none(tmp_path: Path, package: Path, network: State) -> None:
    wrong: list[tuple[State, str]] = [
        ({key: value for key, value in network.items() if key != "fc.bias"}, "lacks fc.bias"),
        (network | {"extra": torch.ones(1)}, "surplus extra"),
        (network | {"fc.weight": torch.ones(400, 512), "fc.bias": torch.ones(400)}, "wrong shapes"),
        (network | {"stem.1.bias": torch.full((45,), float("inf"))}, "no finite number"),
        ({"state_dict": network, "period": 2, "frames": 32, "opt_dict": {}}, "import it as echonet-dynamic"),
        ({"state_dict": network, "surprise": 1}, "surplus surprise"),
    ]
    for content, says in wrong:
        with pytest.raises(CheckpointRefused, match=says) as caught:
            import_cmr(_saved(tmp_path, content), package, SAID)
        assert "\n" not in str(caught.value)
        assert not list(package.iterdir())
