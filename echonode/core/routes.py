"""routes.toml: which objects go to which models, and which results go where."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from echonode.core.clip import Mode
from echonode.core.settings import UID, Section

Kind = Literal[
    "slow-motion", "report", "measurements", "segmentation", "overlay", "capture", "synthetic", "document", "rejection"
]
"""What routes.toml calls a derived object."""


class Conditions(Section):
    """[route.when]: every condition that is given must hold; a list means any of its values; text ignores case."""

    sop_class: tuple[UID, ...] | None = Field(None, description="SOP Class UID")
    modality: tuple[str, ...] | None = Field(None, description="Modality (0008,0060)")
    mode: tuple[Mode, ...] | None = Field(
        None, description="mode from the ultrasound regions: 2d, 2d-colour, m-mode, pw, cw, tdi, 3d"
    )
    view: tuple[str, ...] | None = Field(
        None, description="view: PLAX, PSAX (PSAX-MV too), A4C, A2C, A3C, A5C, any, or unknown"
    )
    stage: tuple[str, ...] | None = Field(None, description="Stage Name as the scanner writes it, any, or none")
    vendor: tuple[str, ...] | None = Field(None, description="text that the Manufacturer contains")
    calling_ae: tuple[str, ...] | None = Field(None, description="AE title of the sender")
    frames_min: int | None = Field(None, ge=1, description="frames, at least")
    frames_max: int | None = Field(None, ge=1, description="frames, at most")
    frame_rate_min: float | None = Field(None, gt=0, description="frames a second, at least")
    frame_rate_max: float | None = Field(None, gt=0, description="frames a second, at most")
    heart_rate_min: float | None = Field(None, gt=0, description="beats a minute, at least")
    heart_rate_max: float | None = Field(None, gt=0, description="beats a minute, at most")
    view_confidence_min: float | None = Field(None, ge=0, le=1, description="confidence of the view, at least")
    quality_min: float | None = Field(None, ge=0, le=1, description="image quality, 0 to 1, at least")
    age_min: float | None = Field(None, ge=0, description="the patient's age in years, at least")
    age_max: float | None = Field(None, ge=0, description="the patient's age in years, at most")
    calibrated: bool | None = Field(None, description="whether a 2D or M-mode region is calibrated")


class Route(Section):
    """One [[route]]."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$", description="how people call this route")
    task: str = Field(description="task: slow_motion")
    model: str = Field(description="model package: refined-flow")
    fallback: tuple[str, ...] = Field(
        (), description="models in its stead, in order, where it is not installed or does not take the object"
    )
    when: Conditions = Field(default_factory=Conditions, description="conditions")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="parameters of the task: factor, beats, mark, timing"
    )
    deliver_to: tuple[str, ...] = Field((), description="destinations of the results; none keeps them on this node")
    after: str = Field(
        "", description="task whose label map of the object this route starts from: segmentation; empty for the object"
    )
    priority: int = Field(0, ge=-100, le=100, description="higher runs first")
    enabled: bool = Field(True, description="false switches the route off")

    @field_validator("fallback", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def models(self) -> tuple[str, ...]:
        """The model, then those in its stead."""
        return (self.model, *self.fallback)


class Destination(Section):
    """One [[destination]]."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,47}$", description="how routes call this destination")
    peer: str = Field(description="name of a peer with host and port in peers.toml")
    kinds: tuple[Kind, ...] | None = Field(
        None, description="kinds of derived objects it takes; all but measurements and synthetic when absent"
    )
    length_unit: Literal["mm", "cm"] = Field("mm", description="unit of lengths in the export of measurements")


class ReportSection(Section):
    """[report]: the one report of each study."""

    enabled: bool = Field(True, description="whether studies get a report")
    deliver_to: tuple[str, ...] = Field((), description="destinations of the report; none keeps it on this node")
    document: bool = Field(False, description="also a PDF of the report")
    measurements: bool = Field(
        False, description="also TID 5200 for reporting systems, to destinations that name the kind measurements"
    )
    ef_disagreement: float = Field(
        10.0, gt=0, description="methods of EF further apart than so many points are flagged"
    )


class RoutesFile(Section):
    """routes.toml as a whole."""

    route: tuple[Route, ...] = Field((), description="rules, tried in order; every rule that matches plans a run")
    destination: tuple[Destination, ...] = Field((), description="where results go")
    report: ReportSection = Field(default_factory=ReportSection, description="the report of each study")

    @model_validator(mode="after")
    def _consistent(self) -> RoutesFile:
        for kind, names in (
            ("route", [r.name for r in self.route]),
            ("destination", [d.name for d in self.destination]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} {twice[0]!r} is named twice")
        known = {d.name for d in self.destination}
        for route in self.route:
            missing = sorted(set(route.deliver_to) - known)
            if missing:
                raise ValueError(f"route {route.name!r} delivers to {missing[0]!r}, which no [[destination]] names")
        missing = sorted(set(self.report.deliver_to) - known)
        if missing:
            raise ValueError(f"report delivers to {missing[0]!r}, which no [[destination]] names")
        return self
