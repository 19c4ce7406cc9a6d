"""Which view an echo object shows, as its header codes it (CID 12226); never guessed from free text."""

from __future__ import annotations

import re

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.dicom import elements
from echonode.dicom.elements import DataSet

_SCT = "SCT"
VIEWS: dict[str, Code] = {
    "PLAX": Code("399139001", _SCT, "Parasternal long axis"),
    "PSAX": Code("399306005", _SCT, "Parasternal short axis"),
    "PSAX-MV": Code("399036006", _SCT, "Parasternal short axis at the Mitral Valve level"),
    "PSAX-CHORDS": Code("399371001", _SCT, "Parasternal short axis at the chordal level"),
    "PSAX-PM": Code("399271003", _SCT, "Parasternal short axis at the Papillary Muscle level"),
    "PSAX-AV": Code("399239005", _SCT, "Parasternal short axis at the aortic valve level"),
    "A4C": Code("399214001", _SCT, "Apical four chamber"),
    "A2C": Code("399232001", _SCT, "Apical two chamber"),
    "A3C": Code("399339008", _SCT, "Apical long axis"),
    "A5C": Code("A5C", PRIVATE_SCHEME, "Apical five chamber"),
    "A4C-RV": Code("130681", "DCM", "RV-focused apical four chamber"),
    "RV-MODIFIED": Code("130682", "DCM", "RV-modified apical four chamber"),
    "RV-INFLOW": Code("398998003", _SCT, "Right ventricular inflow tract view"),
    "RV-OUTFLOW": Code("399195005", _SCT, "Right ventricular outflow tract view"),
    "PLAX-RV-INFLOW": Code("443082005", _SCT, "Parasternal long axis view of right ventricular inflow"),
    "PLAX-RVOT": Code("443083000", _SCT, "Parasternal long axis view of right ventricular outflow"),
    "SC-LAX": Code("399310008", _SCT, "Subcostal long axis"),
    "SC-SAX": Code("399200001", _SCT, "Subcostal short axis"),
    "SSN-LAX": Code("399106004", _SCT, "Suprasternal long axis"),
    "SSN-SAX": Code("399145009", _SCT, "Suprasternal short axis"),
    "SSN-ARCH": Code("443562002", _SCT, "Suprasternal view of aortic arch"),
    "TEE-SAX": Code("443698002", _SCT, "Transesophageal short axis"),
}
_BY_CODE = {(code.value, code.scheme): name for name, code in VIEWS.items()}
# SNOMED-RT identifiers that carts wrote before CID 12226 moved to SNOMED CT.
_BY_OLD_CODE = {
    "G-0396": "PLAX",
    "G-0397": "PSAX",
    "G-039A": "PSAX-MV",
    "G-0399": "PSAX-CHORDS",
    "G-039B": "PSAX-PM",
    "G-0398": "PSAX-AV",
    "G-A19C": "A4C",
    "G-A19B": "A2C",
    "G-0395": "A3C",
    "G-039C": "RV-INFLOW",
    "G-039D": "RV-OUTFLOW",
    "G-0577": "PLAX-RV-INFLOW",
    "G-0578": "PLAX-RVOT",
    "G-039E": "SC-LAX",
    "G-039F": "SC-SAX",
    "G-03A0": "SSN-LAX",
    "G-03A1": "SSN-SAX",
    "G-057D": "SSN-ARCH",
    "R-40B0E": "TEE-SAX",
}
_OLD_SCHEMES = ("SRT", "SNM3", "99SDM")
_NAMES = {
    "PLAX": "PLAX",
    "LAX": "PLAX",
    "PARASTERNALLONGAXIS": "PLAX",
    "PSAX": "PSAX",
    "SAX": "PSAX",
    "PARASTERNALSHORTAXIS": "PSAX",
    "PSAXMV": "PSAX-MV",
    "SAXMV": "PSAX-MV",
    "PSAXPM": "PSAX-PM",
    "SAXPM": "PSAX-PM",
    "PSAXAV": "PSAX-AV",
    "SAXAV": "PSAX-AV",
    "A4C": "A4C",
    "AP4": "A4C",
    "4CH": "A4C",
    "APICAL4CHAMBER": "A4C",
    "APICALFOURCHAMBER": "A4C",
    "A2C": "A2C",
    "AP2": "A2C",
    "2CH": "A2C",
    "APICAL2CHAMBER": "A2C",
    "APICALTWOCHAMBER": "A2C",
    "A3C": "A3C",
    "AP3": "A3C",
    "3CH": "A3C",
    "ALAX": "A3C",
    "APLAX": "A3C",
    "APICALLONGAXIS": "A3C",
    "APICAL3CHAMBER": "A3C",
    "SCLAX": "SC-LAX",
    "A5C": "A5C",
    "AP5": "A5C",
    "5CH": "A5C",
}


def view_of(header: DataSet) -> tuple[str | None, str]:
    """The view's short name (PLAX, A4C), or None, with the reason in words."""
    for item in elements.items(header, "ViewCodeSequence"):
        value, scheme = elements.text(item, "CodeValue"), elements.text(item, "CodingSchemeDesignator")
        if not value:
            continue
        name = _BY_CODE.get((value, scheme)) or (_BY_OLD_CODE.get(value) if scheme in _OLD_SCHEMES else None)
        if name is None:
            return None, f"View Code ({value}, {scheme}) is no view that echonode knows"
        return name, f"View Code Sequence: ({value}, {scheme})"
    named = elements.text(header, "ViewName")
    if named:
        name = _NAMES.get(re.sub(r"[^A-Z0-9]", "", named.upper()))
        return name, f"View Name {named!r}" + ("" if name else " is no view that echonode knows")
    return None, "the header has neither View Code Sequence nor View Name"


def view_code(name: str | None) -> Code | None:
    """The coded concept of a view's short name."""
    return VIEWS.get(name) if name else None
