"""What a scanner's own report says: the same in every edition of the codes, and never an exception for a broken one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from echonode.core.clip import Mode
from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection
from echonode.dicom import scanner_report
from echonode.dicom.header import read_header
from echonode.dicom.scanner_report import ScannerReport, ScannerValue, read_scanner_report
from tests.support import scanner_reports as sr
from tests.support.door import encoded

BIPLANE = ("125207", "DCM", "Method of Disks, Biplane")
MEAN = ("373098007", "SCT", "Mean")
DERIVATION = ("121401", "DCM", "Derivation")


def adult() -> Dataset:
    """An adult study as carts report it: two diameters and their mean, EF biplane and Teichholz, an atrium, a rate."""
    m_mode = sr.group(
        sr.code(sr.MODE, ("399155008", "SCT", "M mode")),
        sr.number(sr.LVID_D, "4.71", sr.CM),
        sr.number(sr.LVID_D, "4.93", sr.CM),
        sr.number(sr.LVID_D, "4.82", sr.CM, sr.code(DERIVATION, MEAN)),
        sr.number(sr.LVID_D, "0.15", sr.CM, sr.code(DERIVATION, ("386136009", "SCT", "Standard Deviation"))),
        sr.number(("18154-5", "LN", "IVSd"), "0.9", sr.CM),
    )
    volumes = sr.group(
        sr.code(sr.MODE, ("399064001", "SCT", "2D mode")),
        sr.number(sr.EF, "61", sr.PERCENT, sr.code(sr.METHOD, BIPLANE)),
        sr.number(sr.EF, "66", sr.PERCENT, sr.code(sr.METHOD, ("125209", "DCM", "Teichholz"))),
        sr.number(("18026-5", "LN", "EDV"), "0.1184", ("l", "UCUM", "l")),
        sr.number(("90096001", "SCT", "Stroke Volume"), "71", ("cm3", "UCUM", "cm3")),
        sr.number(
            ("8867-4", "LN", "Heart rate"), "72", ("{H.B.}/min", "UCUM", "BPM"),
            sr.code(("121404", "DCM", "Selection Status"), ("121410", "DCM", "User chosen value"), "HAS PROPERTIES"),
        ),
    )  # fmt: skip
    atrium = sr.group(sr.number(("399235004", "SCT", "LA Systolic Volume"), "52", sr.ML))
    return sr.report(sr.section(sr.LV, m_mode, volumes), sr.section(sr.LA, atrium))


def read(dataset: Dataset) -> ScannerReport:
    found = read_scanner_report(dataset)
    assert found is not None
    return found


def from_file(dataset: Dataset, path: Path, syntax: str = str(ExplicitVRLittleEndian)) -> ScannerReport:
    """As the node reads it: by the bounded walk over the bytes, nothing converted."""
    dataset.file_meta.TransferSyntaxUID = syntax
    path.write_bytes(encoded(dataset, syntax))
    head = read_header(path, offset=0, transfer_syntax_uid=syntax, limits=LimitsSection())
    found = read_scanner_report(head.item)
    assert found is not None
    return found


def told(report: ScannerReport) -> list[tuple[str, float, str, str, str | None, bool]]:
    return [
        (
            each.measurement.concept.value,
            round(each.measurement.value, 6),
            each.measurement.unit.value,
            "" if each.measurement.method is None else each.measurement.method.value,
            each.mode,
            each.chosen,
        )
        for each in report.values
    ]


EXPECTED = [
    ("29436-3", 47.1, "mm", "", Mode.M_MODE, False),
    ("29436-3", 49.3, "mm", "", Mode.M_MODE, False),
    ("29436-3", 48.2, "mm", "", Mode.M_MODE, False),
    ("18154-5", 9.0, "mm", "", Mode.M_MODE, False),
    ("18043-0", 61.0, "%", "125207", Mode.B_MODE, False),
    ("18043-0", 66.0, "%", "125209", Mode.B_MODE, False),
    ("18026-5", 118.4, "mL", "", Mode.B_MODE, False),
    ("90096001", 71.0, "mL", "", Mode.B_MODE, False),
    ("8867-4", 72.0, "{H.B.}/min", "", Mode.B_MODE, True),
    ("399235004", 52.0, "mL", "", None, False),
]


def test_a_report_in_todays_codes_gives_numbers_in_one_unit_with_method_and_mode() -> None:
    report = read(adult())
    assert told(report) == EXPECTED
    assert [each.mean for each in report.values[:3]] == [False, False, True]
    assert (report.made_at, report.manufacturer, report.research) == ("20260102111213", "Scanner Works", False)
    assert [each.reason for each in report.unread] == [
        "it is the Standard Deviation of measurements and no measurement"
    ]


@pytest.mark.parametrize("scheme", ["SRT", "SNM3", "99SDM"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_carts_of_older_editions_say_the_same(tmp_path: Path, scheme: str, syntax: str) -> None:
    """Half of the carts in use write SNOMED-RT identifiers: their numbers would not be compared at all."""
    assert told(from_file(sr.in_older_edition(adult(), scheme), tmp_path / "sr", syntax)) == EXPECTED


@pytest.mark.parametrize(
    ("code", "concept", "method", "mode", "view"),
    [
        ("79991-6", "18043-0", "125207", None, ""),
        ("79993-2", "18043-0", "125208", None, "A4C"),
        ("18049-7", "18043-0", "125209", Mode.M_MODE, ""),
        ("79990-8", "18043-0", "", Mode.VOLUME, ""),
        ("80003-7", "18148-7", "125208", None, "A2C"),
        ("80008-6", "29436-3", "", Mode.M_MODE, ""),
        ("79981-7", "399235004", "125204", None, ""),
    ],
)
def test_codes_with_the_method_built_in_are_the_same_quantity(
    code: str, concept: str, method: str, mode: Mode | None, view: str
) -> None:
    unit = {"18043-0": sr.PERCENT, "29436-3": sr.MM}.get(concept, sr.ML)
    dataset = sr.report(sr.group(sr.number((code, "LN", "pre-coordinated"), "50", unit)))
    (value,) = read(dataset).values
    assert value.measurement.concept.value == concept
    assert (value.measurement.method.value if value.measurement.method else "", value.mode, value.view) == (
        method,
        mode,
        view,
    )
    assert value.of.value == code


def test_a_property_a_site_and_a_phase_are_a_quantity_and_another_site_is_not() -> None:
    """The volume of a right ventricle must never stand beside a model's left one."""
    phase = sr.code(("272518008", "SCT", "Cardiac Cycle Point"), ("416190007", "SCT", "End diastole"))
    volume = ("118565006", "SCT", "Volume")
    right = ("53085002", "SCT", "Right ventricle")
    report = read(
        sr.report(
            sr.section(sr.LV, sr.group(sr.number(volume, "120", sr.ML, phase))),
            sr.section(right, sr.group(sr.number(volume, "140", sr.ML, phase))),
            sr.section(sr.LV, sr.group(sr.number(volume, "88", sr.ML))),
        )
    )
    assert [(each.measurement.concept.value, each.measurement.value) for each in report.values] == [("18026-5", 120.0)]
    assert len(report.unread) == 2


def test_stress_stages_are_told_from_rest() -> None:
    stage = ("18139-6", "LN", "Stage")
    rest = sr.group(sr.code(stage, ("128975004", "SCT", "Resting State")), sr.number(sr.EF, "60", sr.PERCENT))
    peak = sr.group(sr.code(stage, ("434161005", "SCT", "Peak stress")), sr.number(sr.EF, "72", sr.PERCENT))
    for dataset in (
        sr.report(sr.section(sr.LV, rest, peak)),
        sr.in_older_edition(sr.report(sr.section(sr.LV, rest, peak))),
    ):
        assert [each.stage for each in read(dataset).values] == ["REST", "Peak stress"]


def test_what_is_no_quantity_is_counted_and_never_guessed() -> None:
    numbers = (
        sr.number(("GEU-106-0033", "99GEMS", "Left ventricular ejection fraction"), "61", sr.PERCENT),
        sr.number(sr.LVID_D, "2.4", ("cm/m2", "UCUM", "cm/m2")),
        sr.number(sr.LVID_D, "4.8", None),
        sr.number(sr.LVID_D, "", sr.CM),
        sr.number(sr.LVID_D, "1e400", sr.CM),
        sr.number(sr.EF, "61", sr.PERCENT, sr.code(("121401", "DCM", "Derivation"), ("255605001", "SCT", "Minimum"))),
        sr.number(("18026-5", "LN", "EDV"), "60", sr.ML, sr.code(sr.METHOD, ("125313", "DCM", "Indexed"))),
    )
    report = read(sr.report(sr.section(sr.LV, sr.group(*numbers))))
    assert report.values == ()
    assert [each.reason.split(",")[0] for each in report.unread] == [
        "its code is not known here",
        "its unit is cm/m2",
        "it has no unit",
        "it has no value",
        "it has no value",
        "it is the Minimum of measurements and no measurement",
        "its unit is ml",
    ]


def test_a_fraction_of_one_is_percent_and_the_pictures_of_a_number_are_named() -> None:
    image = Dataset()
    image.RelationshipType, image.ValueType = "INFERRED FROM", "IMAGE"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.3.4"
    image.ReferencedSOPSequence = [reference]
    (value,) = read(sr.report(sr.section(sr.LV, sr.group(sr.number(sr.EF, "0.61", ("1", "UCUM", "1"), image))))).values
    assert value.measurement.value == pytest.approx(61)
    assert value.sources == ("1.2.3.4",)


def test_numbers_below_a_number_are_not_measurements() -> None:
    """The limits of normal stand below a number with the same code."""
    limit = sr.number(sr.EF, "52", sr.PERCENT)
    report = read(sr.report(sr.section(sr.LV, sr.group(sr.number(sr.EF, "61", sr.PERCENT, limit)))))
    assert [each.measurement.value for each in report.values] == [61.0]


@pytest.mark.parametrize(
    "root", [("126000", "DCM", "Imaging Measurement Report"), ("1001", "99VENDOR", "Vascular"), None]
)
def test_other_reports_are_not_read_as_echo_reports(root: tuple[str, str, str] | None) -> None:
    dataset = sr.report(sr.section(sr.LV, sr.group(sr.number(sr.EF, "61", sr.PERCENT))))
    if root is None:
        del dataset.ConceptNameCodeSequence
    else:
        dataset.ConceptNameCodeSequence = [sr.coded(root)]
    assert read_scanner_report(dataset) is None
    assert read_scanner_report(Dataset()) is None


def broken(which: str) -> Dataset:
    number = sr.number(sr.EF, "61", sr.PERCENT)
    dataset = sr.report(sr.section(sr.LV, sr.group(number)))
    found = dataset.ContentSequence[0].ContentSequence[1].ContentSequence[0]
    match which:
        case "no content":
            del dataset.ContentSequence
        case "empty containers":
            dataset.ContentSequence[0].ContentSequence = []
        case "no measured value":
            del found.MeasuredValueSequence
        case "no concept":
            del found.ConceptNameCodeSequence
        case "empty codes":
            found.ConceptNameCodeSequence = [Dataset()]
        case "content is text":
            dataset[0x0040A730] = DataElement(0x0040A730, "LT", "not a sequence at all")
        case "content is opaque":
            dataset[0x0040A730] = DataElement(0x0040A730, "OB", b"\xfe\xff\x00\xe0" + b"\xff" * 40)
        case "value is opaque":
            found.MeasuredValueSequence[0][0x0040A30A] = DataElement(0x0040A30A, "OB", b"\x00\x01sixty\xff ")
        case "value is a double":
            found.MeasuredValueSequence[0][0x0040A30A] = DataElement(0x0040A30A, "FD", 61.0)
        case "long code":
            found.ConceptNameCodeSequence[0].CodeValue = "1" * 200
        case "no value type":
            del found.ValueType
        case "private":
            found.add_new(0x00990010, "LO", "VENDOR")
            found.add_new(0x00991001, "UN", b"\x00" * 9)
    return dataset


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom tells of what the test breaks on purpose
@pytest.mark.parametrize(
    "which",
    ["no content", "empty containers", "no measured value", "no concept", "empty codes", "content is text",
     "content is opaque", "value is opaque", "value is a double", "long code", "no value type"],
)  # fmt: skip
def test_a_broken_report_gives_nothing_and_no_exception(tmp_path: Path, which: str) -> None:
    assert from_file(broken(which), tmp_path / "sr").values == ()
    found = read_scanner_report(broken(which))
    assert found is not None
    assert [each.measurement.value for each in found.values] in ([], [61.0])


def test_private_elements_change_nothing(tmp_path: Path) -> None:
    assert [each.measurement.value for each in from_file(broken("private"), tmp_path / "sr").values] == [61.0]


def test_a_report_of_endless_items_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner_report, "MOST_ITEMS", 1000)
    item = sr.number(sr.EF, "61", sr.PERCENT)
    assert 900 < len(read(sr.report(sr.section(sr.LV, sr.group(*[item] * 2000)))).values) <= 1000


def test_deep_containers_are_read_without_recursion() -> None:
    inner = sr.group(sr.number(sr.EF, "61", sr.PERCENT))
    for _ in range(3000):
        inner = sr.group(inner)
    values: tuple[ScannerValue, ...] = read(sr.report(sr.section(sr.LV, inner))).values
    assert [each.measurement.value for each in values] == [61.0]


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom tells of unknown character sets
def test_damaged_bytes_are_read_as_far_as_they_make_sense_or_refused(tmp_path: Path) -> None:
    whole, chance, path, read = encoded(adult()), random.Random(7), tmp_path / "sr", 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            head = read_header(path, offset=0, transfer_syntax_uid=str(ExplicitVRLittleEndian), limits=LimitsSection())
        except EchonodeError:
            continue
        read += read_scanner_report(head.item) is not None
    assert read > 20
