"""The views that the network tells apart, and their codes (CID 12226 "Echocardiography Image View")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.view_codes import VIEWS, family_of

CLASSES: Final = ("PLAX", "PSAX", "A4C", "A2C", "A3C", "A5C", "SUBCOSTAL", "OTHER")
"""The classes of the network, in the order of its logits."""
OTHER: Final = "OTHER"
IMAGE_VIEW: Final = Code("111031", "DCM", "Image View")
NOT_RECOGNISED: Final = Code("VIEW-UNKNOWN", PRIVATE_SCHEME, "View not recognised")
CODES: Final[Mapping[str, Code]] = {
    **{name: VIEWS[name] for name in CLASSES if name in VIEWS},
    # CID 12226 has no code for a subcostal window of any orientation; the long axis is what one looks for first.
    "SUBCOSTAL": VIEWS["SC-LAX"],
    OTHER: Code("VIEW-OTHER", PRIVATE_SCHEME, "Other than a standard view"),
}
_WORDS: Final = {
    "4CH": "A4C", "AP4": "A4C", "2CH": "A2C", "AP2": "A2C", "3CH": "A3C", "AP3": "A3C", "ALAX": "A3C", "5CH": "A5C",
    "AP5": "A5C", "SC": "SUBCOSTAL", "SUBCOST": "SUBCOSTAL", "NONE": "OTHER", "NONVIEW": "OTHER",
}  # fmt: skip


def class_of(view: str) -> str | None:
    """The class that a view's short name (PSAX-MV, SC-SAX), a folder's name or a word of a list belongs to.

    A view that is coded but not among the classes (right ventricular inflow) is OTHER; None for a word that means none.
    """
    name = re.sub(r"[\s_]+", "-", view.strip().upper())
    if name in CLASSES:
        return name
    if name in VIEWS:
        return family_of(name) if family_of(name) in CLASSES else OTHER
    return _WORDS.get(name.replace("-", ""))
