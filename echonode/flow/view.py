"""Which view an object shows, after a classifier has looked: what was told and what was seen, held against each other.

The rules, first that fits (a coded view is trusted where the classifier agrees, free text is a hint):

| told by | the classifier | the view is |
|---|---|---|
| a person | says anything | the person's |
| anybody | did not look, or recognised nothing | what was told |
| anybody | says the same view or its family | what was told, with the classifier's confidence |
| anybody | cannot know the view that was told | what was told |
| nobody | recognises a view | the classifier's |
| free text | recognises another | the classifier's |
| a code or a protocol's number | recognises another, confidence SURE or more | the classifier's |
| a code or a protocol's number | recognises another with less | what was told, without a confidence |

A classifier that is sure of no standard view counts as one that recognises another: there is no view then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from echonode.core.clip import Mode
from echonode.core.facts import Facts
from echonode.core.results import Finding
from echonode.core.view_codes import SUBCOSTAL, family_of, name_of

SURE: Final = 0.9
"""Confidence from which a classifier stands against a code."""
IMAGE_VIEW: Final = "111031"
"""Code value (DCM) of the concept that a view finding answers."""
OTHER_VIEW: Final = "VIEW-OTHER"
"""Code value of a classifier's answer that no standard view is shown."""
PERSON, CLASSIFIER, HEADER, VIEWS_TOML = "person", "classifier", "header", "views.toml"
KNOWN_FAMILIES: Final = frozenset({"PLAX", "PSAX", "A4C", "A2C", "A3C", "A5C", SUBCOSTAL})
"""What a classifier tells apart that does not list its classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenView:
    """A classifier's answer: a view's short name, or None with `other` for no standard view, else not recognised."""

    view: str | None
    other: bool
    confidence: float | None


def reconciled(
    facts: Facts, finding: Finding | None, *, details: Mapping[str, Any] | None = None, by: str = ""
) -> Facts:
    """The facts with the view, its confidence, source and reason as the rules above have it, and the mode as the pixels.

    `finding` is the Image View that the model `by` gave, `details` what it said beside it: `probabilities` names its
    classes, `mode` and `colour` what the pixels show. Doing it twice changes nothing more.
    """
    details = details or {}
    facts = _coloured(facts, details)
    if finding is None or facts.view_source == PERSON:
        return facts
    facts = _as_told(facts)
    told, seen = facts.view_told, seen_view(finding)
    name = f"{by or 'the view classifier'} says"
    if seen.view is None and not seen.other:
        unsure = f" (likeliest at {seen.confidence:.2f})" if seen.confidence is not None else ""
        return _decided(facts, told, because=f"{name} that it does not recognise the view{unsure}")
    said = f"{name} {seen.view or 'no standard view'}"
    said += f" ({seen.confidence:.2f})" if seen.confidence is not None else ""
    if told is None:
        return _seen(facts, seen, reason=said)
    known = frozenset(family_of(str(each)) for each in details.get("probabilities") or ()) or KNOWN_FAMILIES
    if _agree(told, seen, known):
        confidence = None if seen.view is None else seen.confidence
        return replace(_decided(facts, told, because=said), view_confidence=confidence)
    if family_of(told) not in known:
        return _decided(facts, told, because=f"{said}, but does not know {told}")
    if facts.view_firm and (seen.confidence or 0.0) < SURE:
        return _decided(facts, told, because=f"{said}, less sure than {SURE:g}")
    return _seen(facts, seen, reason=f"{said}; not {told}, which {facts.view_told_reason or facts.view_told_by} tells")


def with_person(facts: Facts, view: str | None, *, by: str, reason: str = "") -> Facts:
    """The facts once a person has said which view it is; no classifier changes that any more."""
    facts = _as_told(facts)
    why = f": {reason}" if reason else ""
    return replace(facts, view=view, view_confidence=None, view_source=PERSON, view_reason=f"set by {by}{why}")


def seen_view(finding: Finding) -> SeenView:
    """What a finding says; a code that is no view of the table is no answer."""
    view = name_of(finding.value)
    return SeenView(view=view, other=finding.value.value == OTHER_VIEW, confidence=finding.confidence)


def _agree(told: str, seen: SeenView, known: frozenset[str]) -> bool:
    if seen.view is None:
        return family_of(told) not in known
    return told == seen.view or family_of(told) == family_of(seen.view)


def _as_told(facts: Facts) -> Facts:
    """Facts of an older version, or of a test, have the view alone."""
    if facts.view_told is None and facts.view is not None and facts.view_source in ("", HEADER, VIEWS_TOML):
        by, reason = facts.view_source or HEADER, facts.view_reason
        return replace(facts, view_told=facts.view, view_told_by=by, view_told_reason=reason)
    return facts


def _decided(facts: Facts, told: str | None, *, because: str) -> Facts:
    reason = "; ".join(part for part in (facts.view_told_reason, because) if part)
    source = facts.view_told_by if told is not None else ""
    return replace(facts, view=told, view_confidence=None, view_source=source, view_reason=reason)


def _seen(facts: Facts, seen: SeenView, *, reason: str) -> Facts:
    return replace(facts, view=seen.view, view_confidence=seen.confidence, view_source=CLASSIFIER, view_reason=reason)


def _coloured(facts: Facts, details: Mapping[str, Any]) -> Facts:
    """Headers say tissue of colour loops and colour of grey ones; the pixels know."""
    mode, share = details.get("mode"), details.get("colour")
    if not isinstance(share, int | float):
        return facts
    if mode == Mode.COLOUR and facts.mode in (Mode.B_MODE, Mode.UNKNOWN):
        reason = f"{100 * share:.1f} % of the sector is coloured, though the header says {facts.mode}"
        return replace(facts, mode=Mode.COLOUR, mode_reason=reason)
    if mode == Mode.B_MODE and facts.mode is Mode.COLOUR:
        reason = f"nothing in the sector is coloured, though the header says {facts.mode}"
        return replace(facts, mode=Mode.B_MODE, mode_reason=reason)
    return facts
