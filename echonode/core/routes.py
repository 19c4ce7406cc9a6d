"""routes.toml: which objects go to which models, and which results go where."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from echonode.core.clip import Mode
from echonode.core.settings import UID, Section


class Conditions(Section):
    """[route.when]: every condition that is given must hold; a list means any of its values; text ignores case."""

    sop_class: tuple[UID, ...] | None = Field(None, description="SOP Class UID")
    modality: tuple[str, ...] | None = Field(None, description="Modality (0008,0060)")
    mode: tuple[Mode, ...] | None = Field(
        None, description="mode from the ultrasound regions: 2d, 2d-colour, m-mode, pw, cw, tdi, 3d"
    )
    view: tuple[str, ...] | None = Field(None, description="view: PLAX, PSAX, A4C, A2C, A3C, A5C, or unknown")
    stage: tuple[str, ...] | None = Field(None, description="Stage Name as the scanner writes it, any, or none")
    vendor: tuple[str, ...] | None = Field(None, description="text that the Manufacturer contains")
    calling_ae: tuple[str, ...] | None = Field(None, description="AE title of the sender")
    frames_min: int | None = Field(None, ge=1, description="frames, at least")
    frames_max: int | None = Field(None, ge=1, description="frames, at most")
    frame_rate_min: float | None = Field(None, gt=0, description="frames a second, at least")
    frame_rate_max: float | None = Field(None, gt=0, description="frames a second, at most")
    calibrated: bool | None = Field(None, description="whether a 2D or M-mode region is calibrated")


class Route(Section):
    """One [[route]]."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$", description="how people call this route")
    task: str = Field(description="task: slow_motion")
    model: str = Field(description="model package: optical-flow")
    fallback: tuple[str, ...] = Field(
        (), description="models in its stead, in order, where it is not installed or does not take the object"
    )
    when: Conditions = Field(default_factory=Conditions, description="conditions")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="parameters of the task: factor, beats, mark, timing"
    )
    deliver_to: tuple[str, ...] = Field((), description="destinations of the results; none keeps them on this node")
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
    kinds: tuple[Literal["slow-motion", "report", "segmentation", "capture", "document"], ...] | None = Field(
        None, description="kinds of derived objects it takes; all when absent"
    )


class RoutesFile(Section):
    """routes.toml as a whole."""

    route: tuple[Route, ...] = Field((), description="rules, tried in order; every rule that matches plans a run")
    destination: tuple[Destination, ...] = Field((), description="where results go")

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
        return self
