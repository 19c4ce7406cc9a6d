"""Coded concepts (PS3.3 8.8) as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """Code Value, Coding Scheme Designator and Code Meaning; equality ignores the meaning."""

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        if not (self.value and self.scheme and self.meaning):
            raise ValueError(
                f"a code needs value, scheme and meaning, not {self.value!r}, {self.scheme!r}, {self.meaning!r}"
            )
        if len(self.value) > 16 or len(self.scheme) > 16 or len(self.meaning) > 64:
            raise ValueError(f"code {self.value!r} is longer than SH/LO allow")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and (self.value, self.scheme) == (other.value, other.scheme)

    def __hash__(self) -> int:
        return hash((self.value, self.scheme))


PRIVATE_PREFIX = "99"
"""What the designator of every private coding scheme begins with (PS3.16 8.2)."""
PRIVATE_SCHEME = "99ECHONODE"
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
SYNTHESIZING_EQUIPMENT = Code("109100", "DCM", "Synthesizing Equipment")
SLOW_MOTION = Code("SLOWMO", PRIVATE_SCHEME, "Temporal interpolation (slow motion)")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
SYNTHESIS = Code("SYNTHESIS", PRIVATE_SCHEME, "Synthesis by a generative model, shows no patient")
REJECTED_FOR_QUALITY = Code("113001", "DCM", "Rejected for Quality Reasons")
REJECTED_FOR_SAFETY = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
