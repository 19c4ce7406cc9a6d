"""What is known of a stored object before any pixel is decoded; what routes.toml matches on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from echonode.core.clip import Mode


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Facts of one instance. Times in ms, rates in frames a second, None where the header does not tell.

    `mode` and `mode_reason` follow the rules of the ultrasound regions; colour inside the pixels is judged later, by
    the runner. `derived` is True for objects that this node made: they are never routed.
    `view_source` says who told the view: header, views.toml, classifier, person; `view_confidence` is the classifier's,
    `quality` 0 to 1. `view_told` is what `view_told_by` (header or views.toml) said, and `view_told_reason` why, whatever
    was decided since; `view_firm` whether that was a code or a protocol's number and no free text. Age, height and weight
    are None where the header has none that can be true; `species` is human unless the header names another (PS3.3
    C.7.1.1). `simulated` is True for objects that say themselves that they show no patient. `self_check` is True for
    simulated objects that carry this node's own marker, and for what was derived from them.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax_uid: str
    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    calling_ae: str = ""
    image_type: tuple[str, ...] = ()
    mode: Mode = Mode.UNKNOWN
    mode_reason: str = ""
    view: str | None = None
    view_reason: str = ""
    stage: str | None = None
    rows: int = 0
    columns: int = 0
    frames: int = 1
    has_pixels: bool = False
    frame_time_ms: float | None = None
    longest_gap_ms: float | None = None
    frame_rate: float | None = None
    heart_rate: float | None = None
    photometric: str = ""
    calibrated: bool = False
    patient_id: str = ""
    study_description: str = ""
    series_description: str = ""
    view_confidence: float | None = None
    view_source: str = ""
    view_told: str | None = None
    view_told_by: str = ""
    view_told_reason: str = ""
    view_firm: bool = False
    quality: float | None = None
    age_years: float | None = None
    sex: str = ""
    height_m: float | None = None
    weight_kg: float | None = None
    species: str = "human"
    transesophageal: bool = False
    contrast: bool = False
    protocol: str = ""
    view_number: int | None = None
    simulated: bool = False
    derived: bool = False
    self_check: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"mode": str(self.mode), "image_type": list(self.image_type)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Facts:
        """The inverse of `as_dict`."""
        return cls(**(values | {"mode": Mode(values["mode"]), "image_type": tuple(values["image_type"])}))
