"""The standard views, their codes (PS3.16 CID 12226), and which of them are of one family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from echonode.core.codes import PRIVATE_SCHEME, Code

UNKNOWN_VIEW: Final = "unknown"
"""What routes.toml, manifests and views.toml call the absence of a view."""
_SCT: Final = "SCT"
VIEWS: Final[Mapping[str, Code]] = {
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
SUBCOSTAL: Final = "SUBCOSTAL"
_FAMILIES: Final = {"A4C-RV": "A4C", "RV-MODIFIED": "A4C", "SC-LAX": SUBCOSTAL, "SC-SAX": SUBCOSTAL}
_PSAX: Final = "PSAX"


def family_of(view: str) -> str:
    """The view without its level or focus: PSAX of PSAX-MV, A4C of A4C-RV, SUBCOSTAL of SC-LAX; else the view itself."""
    return _FAMILIES.get(view) or (_PSAX if view.startswith(f"{_PSAX}-") else view)


def is_one_of(view: str | None, wanted: Iterable[str]) -> bool:
    """Whether the view is among those named, by itself or by its family: who asks for PSAX takes PSAX-MV, but who asks
    for PSAX-MV does not take PSAX. Case does not matter; no view is `unknown`."""
    name = (view or UNKNOWN_VIEW).upper()
    return bool({name, family_of(name)} & {each.strip().upper() for each in wanted})


def finer_views(view: str) -> tuple[str, ...]:
    """The view and every view of the table whose family it is, in the table's order."""
    name = view.upper()
    return tuple(each for each in VIEWS if name in (each, family_of(each)))


def name_of(code: Code | None) -> str | None:
    """The short name of a coded view; None for one that is not in the table."""
    return next((name for name, each in VIEWS.items() if each == code), None)
