"""DICOM JSON of a Native DICOM Model document (PS3.19 annex A), read without entities, doctypes or deep recursion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from echonode.core.errors import BudgetExceeded, UnreadableObject
from echonode.dicom.json_model import NAME_GROUPS

_STEP = 1 << 16
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_BINARY = "InlineBinary"
_INTEGERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_REALS = frozenset({"FD", "FL"})


def model_of_xml(document: bytes, *, most_elements: int, nesting: int) -> dict[str, Any]:
    """The data set of one document, in the form of PS3.18 annex F.

    Raises:
        UnreadableObject: no XML, an entity or a doctype, or no Native DICOM Model.
        BudgetExceeded: more elements than `most_elements`, or sequences nested deeper than `nesting`.
    """
    reader = _Reader(most_elements, nesting)
    parser = DefusedXMLParser(target=reader, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        for piece in _pieces(document):
            parser.feed(piece)
        parser.close()
    except DefusedXmlException:
        raise UnreadableObject("the XML document has a doctype or an entity") from None
    except (ParseError, LookupError, ValueError):
        raise UnreadableObject("the document is no XML") from None
    return reader.model


class _Reader:
    """A target of the parser: what it has is the path of open elements, and the data sets and values under way."""

    def __init__(self, most_elements: int, nesting: int) -> None:
        self.model: dict[str, Any] = {}
        self._left = most_elements
        self._deepest = 4 * nesting + 8
        self._open: list[str] = []
        self._datasets: list[dict[str, Any]] = [self.model]
        self._attributes: list[tuple[str, dict[str, Any]]] = []
        self._name: dict[str, dict[str, str]] = {}
        self._number: dict[str, str] = {}
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition("}")[2]
        self._left -= 1
        if self._left < 0 or len(self._open) >= self._deepest:
            raise BudgetExceeded("the XML document has too many elements, or sequences nested too deep")
        if not self._open and name != "NativeDicomModel":
            raise UnreadableObject("the XML document is no Native DICOM Model")
        self._open.append(name)
        self._text.clear()
        if name == "DicomAttribute":
            self._begin(attributes)
        elif name == "Item" and self._attributes:
            item: dict[str, Any] = {}
            self._place(attributes, item)
            self._datasets.append(item)
        elif name == "BulkData" and self._attributes:
            uri = attributes.get("uri") or attributes.get("uuid") or ""
            self._attributes[-1][1]["BulkDataURI"] = uri
        elif name == "PersonName":
            self._name = {}
            self._number = attributes
        elif name == "Value":
            self._number = attributes

    def data(self, text: str) -> None:
        if self._open and self._open[-1] in ("Value", _BINARY, *_NAME_PARTS):
            self._text.append(text)

    def end(self, name: str) -> None:
        name = self._open.pop()
        if not self._attributes:
            return
        element = self._attributes[-1][1]
        if name == "DicomAttribute":
            self._attributes.pop()
        elif name == "Item":
            self._datasets.pop()
        elif name == "Value":
            self._place(self._number, _value(element["vr"], "".join(self._text)))
        elif name == _BINARY:
            element[_BINARY] = "".join("".join(self._text).split())
        elif name in _NAME_PARTS and len(self._open) and self._open[-1] in NAME_GROUPS:
            self._name.setdefault(self._open[-1], {})[name] = "".join(self._text).strip()
        elif name == "PersonName":
            self._place(self._number, {group: _joined(parts) for group, parts in self._name.items()})
        self._text.clear()

    def close(self) -> None:
        """Nothing is left to do: the model is read from `model`."""

    def _place(self, attributes: dict[str, str], value: Any) -> None:
        """Put a value where its number says; numbers that are left out are empty values (PS3.19 A.1.5)."""
        values: list[Any] = self._attributes[-1][1].setdefault("Value", [])
        missing = int(attributes.get("number") or len(values) + 1) - 1 - len(values)
        if missing > 0:
            self._left -= missing
            if self._left < 0:
                raise BudgetExceeded("the XML document numbers more values than any object has")
            values.extend([None] * missing)
        values.append(value)

    def _begin(self, attributes: dict[str, str]) -> None:
        tag, vr = attributes.get("tag", ""), attributes.get("vr", "")
        dataset = self._datasets[-1]
        if tag in dataset:
            raise UnreadableObject("the XML document has an attribute twice")
        element: dict[str, Any] = {"vr": vr}
        dataset[tag] = element
        self._attributes.append((tag, element))


def _value(vr: str, text: str) -> Any:
    if not text:
        return None
    if vr in _INTEGERS:
        return int(text)
    return float(text) if vr in _REALS else text


def _joined(parts: dict[str, str]) -> str:
    return "^".join(parts.get(part, "") for part in _NAME_PARTS).rstrip("^")


def _pieces(document: bytes) -> Iterator[bytes]:
    """In pieces, so that a bound is met soon after it is broken."""
    for begin in range(0, len(document), _STEP):
        yield document[begin : begin + _STEP]
