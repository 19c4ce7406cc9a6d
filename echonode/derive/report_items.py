"""Content items of a structured report (PS3.3 C.17.3), through highdicom, which is imported when the first is made.

Text is cleaned of what VR UT does not allow, numbers are rounded, and what nobody said makes no item.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from pydicom.dataset import Dataset

from echonode.core.codes import Code
from echonode.core.report import ObjectReference
from echonode.derive.report_numbers import rounded

Item = TypeVar("Item", bound=Dataset)

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, ContainerContentItem, ContentItem

CONTAINS: Final = "CONTAINS"
HAS_PROPERTIES: Final = "HAS PROPERTIES"
HAS_CONCEPT_MOD: Final = "HAS CONCEPT MOD"
HAS_OBS_CONTEXT: Final = "HAS OBS CONTEXT"
HAS_ACQ_CONTEXT: Final = "HAS ACQ CONTEXT"
INFERRED_FROM: Final = "INFERRED FROM"


def coded(code: Code) -> CodedConcept:
    """A code as highdicom writes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def code(name: Code, value: Code, relationship: str = CONTAINS) -> ContentItem:
    """A CODE item."""
    from highdicom.sr import CodeContentItem

    return CodeContentItem(name=coded(name), value=coded(value), relationship_type=relationship)


def text(name: Code, value: str, relationship: str = CONTAINS) -> ContentItem:
    """A TEXT item. `value` must say something."""
    from highdicom.sr import TextContentItem

    return TextContentItem(name=coded(name), value=plain(value), relationship_type=relationship)


def number(
    name: Code, value: float, unit: Code, relationship: str = HAS_PROPERTIES, *, of: float | None = None
) -> ContentItem:
    """A NUM item; `of` as `report_numbers.rounded`."""
    from highdicom.sr import NumContentItem

    item = NumContentItem(
        name=coded(name), value=rounded(value, unit, of=of), unit=coded(unit), relationship_type=relationship
    )
    return exact(item)


def exact(item: Item) -> Item:
    """A NUM item without Floating Point Value (0040,A161): Numeric Value says all of a rounded number (PS3.3 C.18.1)."""
    for measured in item.MeasuredValueSequence:
        whole = float(measured.NumericValue)
        if whole.is_integer():
            measured.NumericValue = str(int(whole))
        if "FloatingPointValue" in measured:
            del measured.FloatingPointValue
    return item


def person(name: Code, value: str, relationship: str = HAS_OBS_CONTEXT) -> ContentItem:
    """A PNAME item."""
    from highdicom.sr import PnameContentItem

    return PnameContentItem(name=coded(name), value=person_name(value), relationship_type=relationship)


def image(
    name: Code, reference: ObjectReference, frames: Sequence[int] = (), relationship: str = INFERRED_FROM
) -> ContentItem:
    """An IMAGE item; `frames` counted from 1, none for the whole object."""
    from highdicom.sr import ImageContentItem

    return ImageContentItem(
        name=coded(name),
        referenced_sop_class_uid=reference.sop_class_uid,
        referenced_sop_instance_uid=reference.sop_instance_uid,
        referenced_frame_numbers=list(frames) or None,
        relationship_type=relationship,
    )


def container(
    name: Code, items: Iterable[ContentItem], *, relationship: str | None = CONTAINS, template: str | None = None
) -> ContainerContentItem:
    """A CONTAINER item, separate, of template DCMR `template`."""
    from highdicom.sr import ContainerContentItem, ContentSequence

    made = ContainerContentItem(name=coded(name), relationship_type=relationship, template_id=template)
    made.ContentSequence = ContentSequence(list(items))
    return made


def with_items(item: Item, items: Iterable[ContentItem]) -> Item:
    """`item` with further items below it."""
    from highdicom.sr import ContentSequence

    below = list(items)
    if below and not item.get("ContentSequence"):
        item.ContentSequence = ContentSequence(below)
    elif below:
        item.ContentSequence.extend(below)
    return item


def plain(value: str) -> str:
    """Text as VR UT allows it: no control characters but line breaks, nothing at its end."""
    return "".join(c for c in value if c >= " " or c in "\n\t").strip()


def person_name(value: str) -> str:
    """A name that somebody typed, as VR PN: the whole of it as family name where no caret parts it (PS3.5 6.2.1)."""
    cleaned = plain(value).replace("\\", " ").replace("=", " ").replace("\n", " ").replace("\t", " ")[:64]
    return cleaned if "^" in cleaned else f"{cleaned}^"
