"""Probes that do not fit the contract they are made for would fail good models, or let any pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echonode.cli.model_probes import probes_for
from echonode.core.facts import Facts
from echonode.core.package import Package
from echonode.flow.contract import refusal_of
from echonode.registry.manifest import InputContract

CONTRACTS: dict[str, dict[str, Any]] = {
    "apical, many frames a beat": {"modes": ["2d"], "views": ["A2C"], "frames_per_beat_min": 40, "colour": False},
    "children": {"modes": ["2d"], "views": ["PSAX-MV", "A4C"], "age_years_max": 12.0, "frames_min": 60},
    "a strip": {"modes": ["m-mode"], "calibrated": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTRACTS)
def test_what_should_fit_fits_and_nonsense_is_there(tmp_path: Path, name: str) -> None:
    contract = InputContract.model_validate(CONTRACTS[name])
    package = Package(
        name="made-up", version="1", task="any", title="Any", folder=tmp_path, digest="d" * 64,
        input=contract.model_dump(mode="json"),
    )  # fmt: skip
    probes = probes_for(package, tmp_path)
    fitting = [probe for probe in probes if probe.fits]
    assert fitting
    for probe in fitting:
        assert refusal_of(contract, Facts.from_dict(dict(probe.facts))) is None, probe.name
    assert {"noise", "black frames", "a single frame"} <= {probe.name for probe in probes if not probe.fits}
    assert ("a label map" in {probe.name for probe in probes}) is True
    assert len({probe.source for probe in probes}) == len(probes)
