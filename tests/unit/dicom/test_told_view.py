"""What a lab wrote into views.toml is what its loops are called, and a code is not overruled by a guess."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from echonode.core.configuration import read_section
from echonode.core.views import ViewsFile
from echonode.dicom.facts import facts_of
from echonode.dicom.views import told_view

A4C = Dataset()
A4C.CodeValue, A4C.CodingSchemeDesignator, A4C.CodeMeaning = "399214001", "SCT", "Apical four chamber"


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACUSON Inc.", "Sequoia C512"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def rules(*rows: dict[str, Any]) -> ViewsFile:
    return ViewsFile.model_validate({"view": rows})


@pytest.mark.parametrize(
    ("condition", "values", "fits"),
    [
        ({"view_number": 2}, {"ViewNumber": "2"}, True),
        ({"view_number": [1, 2]}, {"ViewNumber": "2"}, True),
        ({"view_number": 2}, {"ViewNumber": "3"}, False),
        ({"view_number": 2}, {}, False),
        ({"view_number": 2, "vendor": "acuson"}, {"ViewNumber": "2"}, True),
        ({"view_number": 2, "vendor": "Philips"}, {"ViewNumber": "2"}, False),
        ({"view_number": 2, "model": ["Sequoia"]}, {"ViewNumber": "2"}, True),
        ({"view_number": 2, "model": ["Cypress"]}, {"ViewNumber": "2"}, False),
        ({"calling_ae": "CART"}, {}, True),
        ({"calling_ae": "OTHER"}, {}, False),
        ({"stage": "any"}, {"StageName": "Low Dose"}, True),
        ({"stage": "any"}, {}, False),
        ({"stage": "none"}, {}, True),
        ({"stage": "low dose"}, {"StageName": "Low Dose"}, True),
        ({"image_type": ["0001"]}, {}, True),
        ({"image_type": ["0001", "DERIVED"]}, {}, False),
        ({"view_name": "^psax pm$"}, {"ViewName": "PSAX PM"}, True),
        ({"protocol": "stress"}, {"ProtocolName": "Stress 6 views"}, True),
        ({"protocol": "stress"}, {}, False),
        ({"study_description": "dobu"}, {"StudyDescription": "Dobutamine"}, True),
        ({"series_description": "apical"}, {"SeriesDescription": "Apical loops"}, True),
        ({"comments": "sax"}, {"ImageComments": "SAX mid"}, True),
        ({"text": "sax"}, {"ImageComments": "SAX mid"}, True),
        ({"text": "sax"}, {"StudyDescription": "SAX mid"}, False),
    ],
)
def test_every_condition_of_a_row(condition: dict[str, Any], values: dict[str, Any], fits: bool) -> None:
    told = told_view(header(**values), rules=rules({"view": "PSAX-PM", **condition}), calling_ae="cart")
    assert (told.view == "PSAX-PM" and told.source == "views.toml") or (not fits and told.source != "views.toml")
    assert fits == told.reason.startswith("views.toml: ")


def test_a_label_in_a_private_element() -> None:
    row = {"group": 0x0009, "creator": "ACUSON: 1.2", "element": 0x20, "pattern": "^A4C"}
    table = rules({"view": "A4C", "private": row})
    dataset = header()
    assert told_view(dataset, rules=table).view is None
    dataset.private_block(0x0009, "ACUSON: 1.2", create=True).add_new(0x20, "LO", "A4C zoomed")
    told = told_view(dataset, rules=table)
    assert (told.view, told.firm) == ("A4C", True)
    assert "A4C zoomed" in told.reason


def test_the_first_row_that_fits_tells_and_unknown_ends_the_search() -> None:
    table = rules({"view": "A2C", "text": "2ch"}, {"view": "A4C", "text": "ch"})
    assert told_view(header(SeriesDescription="2CH"), rules=table).view == "A2C"
    assert told_view(header(SeriesDescription="4CH"), rules=table).view == "A4C"
    table = rules({"view": "unknown", "text": "fetal"}, {"view": "A4C", "text": "ch"})
    told = told_view(header(SeriesDescription="fetal 4CH"), rules=table)
    assert (told.view, told.source) == (None, "views.toml")


@pytest.mark.parametrize(
    ("values", "row", "view", "source", "firm"),
    [
        ({"ViewCodeSequence": [A4C], "ViewNumber": "1"}, {"view_number": 1}, "A4C", "header", True),
        (
            {"ViewCodeSequence": [A4C], "ViewNumber": "1"},
            {"view_number": 1, "override": True},
            "A2C",
            "views.toml",
            True,
        ),
        ({"ViewName": "PLAX", "ViewNumber": "1"}, {"view_number": 1}, "A2C", "views.toml", True),
        ({"ViewName": "PLAX", "SeriesDescription": "2CH"}, {"text": "2ch"}, "PLAX", "header", False),
        ({"ViewName": "my own", "SeriesDescription": "2CH"}, {"text": "2ch"}, "A2C", "views.toml", False),
        ({"SeriesDescription": "2CH"}, {"text": "2ch", "firm": True}, "A2C", "views.toml", True),
    ],
)
def test_what_stands_before_what(
    values: dict[str, Any], row: dict[str, Any], view: str, source: str, firm: bool
) -> None:
    told = told_view(header(**values), rules=rules({"view": "A2C", **row}))
    assert (told.view, told.source, told.firm) == (view, source, firm)


def test_the_facts_keep_what_was_told_and_by_whom() -> None:
    table = rules({"view": "PLAX", "view_number": 1})
    facts = facts_of(header(ViewNumber="1"), transfer_syntax_uid="", views=table)
    assert (facts.view, facts.view_source, facts.view_told, facts.view_firm) == ("PLAX", "views.toml", "PLAX", True)
    assert facts_of(header(), transfer_syntax_uid="").view_source == ""


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("PS LAX MR & AI", "PLAX"),
        ("Parasternal Long-Axis", "PLAX"),
        ("SAX PM level", "PSAX-PM"),
        ("PSAX mitral", "PSAX-MV"),
        ("PSAX", "PSAX"),
        ("Apical 4 chamber zoom", "A4C"),
        ("4CH", "A4C"),
        ("AP2", "A2C"),
        ("APLAX", "A3C"),
        ("Subcostal 4CH", "SC-LAX"),
        ("subcostal short axis IVC", "SC-SAX"),
        ("RV focused A4C", "A4C-RV"),
        ("RV inflow", "PLAX-RV-INFLOW"),
        ("ME 4CH", None),
        ("Transesophageal", None),
        ("MURMUR, R/O VSD", None),
        ("Adult Heart", None),
        ("SCHEDULED", None),
        ("relax", None),
    ],
)
def test_the_shipped_patterns_know_what_labs_write(checkout: Any, text: str, view: str | None) -> None:
    """A pattern that is too eager sends a subcostal loop to an apical model."""
    shipped = read_section(checkout / "ae_config" / "views.toml", ViewsFile)
    assert told_view(header(SeriesDescription=text), rules=shipped).view == view
