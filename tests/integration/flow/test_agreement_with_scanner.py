"""A model beside what the sonographer measured: read from the stored reports of the scanner, whatever their edition."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from echonode.cli.main import execute
from echonode.core.errors import BadInput, NotFound
from echonode.core.readings import KeptReading
from echonode.core.results import Measurement, Result
from echonode.flow.agreement import SCANNER, agreement
from tests.support import scanner_reports as sr
from tests.support.bench import Bench
from tests.support.loops import loop_dataset
from tests.support.reporting import EF, PERCENT
from tests.support.reports import LVID_D, MM

BIPLANE = sr.code(sr.METHOD, ("125207", "DCM", "Method of Disks, Biplane"))
TEICHHOLZ = sr.code(sr.METHOD, ("125209", "DCM", "Teichholz"))


def said(bench: Bench, loop: Dataset, *results: Result, model: str = "ef-video", shadow: bool = False) -> None:
    reading = KeptReading(
        sop_instance_uid=str(loop.SOPInstanceUID), study_uid=str(loop.StudyInstanceUID), task="ejection_fraction",
        model=model, version="1", digest="ab" * 32, route="ef", work_id="w", results=results,
    )  # fmt: skip
    with bench.archive.transaction() as connection:
        bench.archive.readings.put(connection, reading, shadow=shadow)


def ef(value: float) -> Measurement:
    return Measurement(concept=EF, value=value, unit=PERCENT)


def lvid(value: float) -> Measurement:
    return Measurement(concept=LVID_D, value=value, unit=MM)


def sonographer(value: str, diameter_cm: str, study_uid: str) -> Dataset:
    numbers = (
        sr.number(sr.EF, value, sr.PERCENT, BIPLANE),
        sr.number(sr.EF, "80", sr.PERCENT, TEICHHOLZ),
        sr.number(sr.LVID_D, diameter_cm, sr.CM),
    )
    return sr.report(sr.section(sr.LV, sr.group(*numbers)), study_uid=study_uid)


@pytest.fixture
def studies(opened: Callable[..., Bench]) -> tuple[Bench, list[str]]:
    """Three studies with a report of the scanner, one of an older edition and one deflated; a fourth without."""
    bench = opened()
    uids = ["1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4"]
    for number, uid in enumerate(uids):
        loops = [loop_dataset(study_uid=uid, frames=3, size=32, seed=2 * number + each) for each in range(2)]
        for place, loop in enumerate(loops):
            assert bench.receive(loop).accepted
            said(bench, loop, ef(54 + 4 * number + 2 * place), lvid(47 + number))
    reports = [sonographer(f"{57 + 4 * number}", "4.6", uid) for number, uid in enumerate(uids[:3])]
    sr.in_older_edition(reports[1])
    reports[2].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    for report in reports:
        assert bench.receive(report).accepted
    return bench, uids


def test_a_model_is_compared_with_every_report_of_a_scanner(studies: tuple[Bench, list[str]]) -> None:
    bench, uids = studies
    found = agreement(bench.archive, "ef-video", SCANNER)
    assert (found.case, found.seen_a, found.seen_b, found.both) == ("study", 4, 3, 3)
    fraction, diameter = found.concepts
    assert [(each.study_uid, each.a, each.b) for each in fraction.pairs] == [
        (uid, 55 + 4 * number, 57 + 4 * number) for number, uid in enumerate(uids[:3])
    ]
    assert fraction.agreement is not None
    assert [fraction.agreement.bias.value, fraction.agreement.sd] == pytest.approx([-2, 0])
    assert [each.difference for each in diameter.pairs] == [pytest.approx(1), pytest.approx(2), pytest.approx(3)]
    turned = agreement(bench.archive, SCANNER, "ef-video")
    assert [each.difference for each in turned.concepts[0].pairs] == [2, 2, 2]


def test_the_newest_report_of_a_study_counts_and_results_of_research_do_not(studies: tuple[Bench, list[str]]) -> None:
    bench, uids = studies
    later = sonographer("40", "5.0", uids[0])
    later.ContentTime = "235959"
    research = sonographer("12", "1.0", uids[0])
    research.ContentTime, research.ContentQualification = "235959.5", "RESEARCH"
    broken = sr.report(study_uid=uids[0])
    broken.ContentTime = "235959.9"
    del broken.ContentSequence
    for report in (later, research, broken):
        assert bench.receive(report).accepted
    found = agreement(bench.archive, "ef-video", SCANNER)
    assert found.concepts[0].pairs[0].b == 40


def test_a_study_without_an_understood_number_is_one_that_the_scanner_refused(studies: tuple[Bench, list[str]]) -> None:
    bench, uids = studies
    private = sr.number(("GEU-1", "99GEMS", "Ejection fraction"), "61", sr.PERCENT)
    assert bench.receive(sr.report(sr.section(sr.LV, sr.group(private)), study_uid=uids[3])).accepted
    found = agreement(bench.archive, "ef-video", SCANNER)
    assert (found.refusals.only_b, found.refusals.neither) == (1, 3)
    assert any("1 numbers of the scanner were left out: its code is not known here" in note for note in found.notes)


def test_shadows_are_compared_with_what_counts_and_never_count(studies: tuple[Bench, list[str]]) -> None:
    bench, uids = studies
    for stored in bench.archive.index.instances():
        if stored.study_uid == uids[0] and "88.33" not in stored.sop_class_uid:
            loop = Dataset()
            loop.SOPInstanceUID, loop.StudyInstanceUID = stored.sop_instance_uid, stored.study_uid
            said(bench, loop, ef(60), model="ef-next", shadow=True)
    found = agreement(bench.archive, "ef-video", "ef-next")
    assert (found.case, found.seen_a, found.seen_b, found.both) == ("object", 8, 2, 2)
    assert [each.difference for each in found.concepts[0].pairs] == [-6, -4]
    assert {each.model for each in bench.archive.readings.of_study(uids[0])} == {"ef-video"}


def test_names_that_said_nothing_are_told(studies: tuple[Bench, list[str]], opened: Callable[..., Bench]) -> None:
    bench, _ = studies
    with pytest.raises(NotFound, match="no model 'ef-vdeo' has said anything"):
        agreement(bench.archive, "ef-vdeo", SCANNER)
    with pytest.raises(NotFound, match="for the task mmode"):
        agreement(bench.archive, "ef-video", SCANNER, task="mmode")
    with pytest.raises(BadInput, match="agrees with itself"):
        agreement(bench.archive, SCANNER, SCANNER)


def test_the_command_prints_tables_and_draws(
    studies: tuple[Bench, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "node.toml").write_text(f'[storage]\nroot = "{tmp_path / "data"}"\n')
    arguments = ["models", "agreement", "ef-video", SCANNER, "-c", str(config)]
    assert execute([*arguments, "--figure", str(tmp_path / "out" / "plot.png")]) == 0
    told = capsys.readouterr().out
    assert "ef-video saw 4 studies, scanner 3, both 3" in told
    assert "ejection fraction" in told
    assert "-2.00 (-2.00 to -2.00)" in told
    assert "neither refused any of the 3 studies" in told
    drawn = sorted((tmp_path / "out").iterdir())
    assert [each.name for each in drawn] == ["plot-ejection-fraction.png", "plot-lvid-diastole.png"]
    assert all(each.read_bytes()[:4] == b"\x89PNG" for each in drawn)
    assert execute([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["concepts"][0]["agreement"]["bias"]["n"] == 3
    assert execute(["models", "agreement", "ef-video", "nobody", "-c", str(config)]) == 2
    assert "no model 'nobody' has said anything yet" in capsys.readouterr().err
