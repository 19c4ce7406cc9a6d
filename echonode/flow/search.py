"""A QIDO-RS query (PS3.18 8.3.4, 10.6) as a request to the one query layer, and what its answers hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from echonode.archive.archive import Archive
from echonode.core.attributes import ATTRIBUTES, COMPUTED, LEVELS
from echonode.core.errors import BadQuery
from echonode.core.identity import is_uid
from echonode.core.query import Fuzzy, Level, Matcher, QueryMatch, QueryRequest, Single, Universal
from echonode.dicom.json_model import MARK
from echonode.dicom.matching import matcher_of

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_LISTS = {"UI": re.compile(r"[,\\]"), "CS": re.compile(r"[,\\]")}
_MOST_PARAMETERS = 200
_PLAIN = frozenset({"accept", "charset"})  # PS3.18 8.3.3: for the edge
_STUDY = [
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDescription",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
]
_SERIES = [
    "Modality",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "NumberOfSeriesRelatedInstances",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
]
_INSTANCE = ["SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"]
_NAMES = {Level.STUDY: _STUDY, Level.SERIES: _SERIES, Level.IMAGE: _INSTANCE}
"""What every answer has (PS3.18 tables 10.6.3-3 to 10.6.3-5), and the description, which people look for."""
_UNICODE = {"vr": "CS", "Value": ["ISO_IR 192"]}
_ONLINE = {"vr": "CS", "Value": ["ONLINE"]}
_CHARACTER_SET, _AVAILABILITY, _RETRIEVE_URL = "00080005", "00080056", "00081190"
_UIDS = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.IMAGE: "00080018"}
_PATHS = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A query that was understood.

    `fields` are the tags of an answer with the VR of each; `every` adds whatever else is known. `further` are tags
    that are not indexed and are taken from the metadata of instances. `warnings` say what was left aside.
    """

    request: QueryRequest
    fields: Mapping[str, str]
    every: bool = False
    further: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_search(
    level: Level,
    parameters: Iterable[tuple[str, str]],
    *,
    study_uid: str | None = None,
    series_uid: str | None = None,
    most: int,
) -> Search:
    """The query parameters of a search at `level`, below a study and a series where the path names them.

    A known attribute that this node does not match on is left aside with a warning, and so is one inside a sequence.
    At most `most` answers are asked for.

    Raises:
        BadQuery: an unknown parameter, one that is there twice, or a value that is none for its attribute.
    """
    values: dict[str, list[str]] = {}
    for number, (name, value) in enumerate(parameters):
        if number == _MOST_PARAMETERS:
            raise BadQuery(f"more than {_MOST_PARAMETERS} query parameters")
        values.setdefault(name, []).append(value)
    limit = min(_whole(values.pop("limit", None), "limit", most), most)
    offset = _whole(values.pop("offset", None), "offset", 0)
    fuzzy = _flag(values.pop("fuzzymatching", None), "fuzzymatching")
    included = [name for value in values.pop("includefield", []) for name in value.split(",")]
    warnings: list[str] = []
    keys = _keys(values, level, fuzzy=fuzzy, warnings=warnings)
    for keyword, uid in (("StudyInstanceUID", study_uid), ("SeriesInstanceUID", series_uid)):
        if uid is not None:
            if not is_uid(uid):
                raise BadQuery(f"the {keyword} of the path is no UID")
            if keyword in keys and keys[keyword] not in (Single(uid), Universal()):
                raise BadQuery(f"{keyword} stands in the path and, with another value, in the query")
            keys[keyword] = Single(uid)
    names = _default_names(level, study_uid=study_uid, series_uid=series_uid)
    every, wanted, further = _included(included, level, warnings)
    named = dict.fromkeys((*names, *keys, *wanted))
    for name in named:
        if name in COMPUTED:
            keys.setdefault(name, Universal())
    fields = {tag: vr for name in named for tag, vr in [_element(name)]}
    return Search(
        request=QueryRequest(level=level, keys=keys, limit=limit, offset=offset),
        fields=fields,
        every=every,
        further=tuple(further),
        warnings=tuple(warnings),
    )


def is_short(archive: Archive, search: Search) -> bool:
    """Whether the page can be located by an index alone."""
    return archive.index.decided_by_columns(search.request)


def located(archive: Archive, search: Search) -> tuple[list[int], int]:
    """The rows of the page, and how many matches there are altogether."""
    request = search.request
    rows = archive.index.locate(request)
    if request.limit and len(rows) < request.limit and (rows or not request.offset):
        return rows, request.offset + len(rows)
    return rows, archive.index.count(request)


def answers(archive: Archive, search: Search, rows: Sequence[int], *, base: str) -> list[dict[str, Any]]:
    """The page's rows as DICOM JSON; `base` is the DICOMweb address that Retrieve URLs begin with."""
    matches = archive.index.load(search.request, rows)
    bulky = search.request.level is Level.IMAGE and (search.every or search.further)
    stored = archive.index.metadata([match.row for match in matches]) if bulky else {}
    return [_answer(search, match, base, stored.get(match.row)) for match in matches]


def page_warnings(search: Search, *, shown: int, total: int, most: int) -> tuple[str, ...]:
    """What is to be said with a page: keys left aside, and whether `most` cut it."""
    cut = search.request.limit == most and search.request.offset + shown < total
    more = [f"there are {total} matches, one answer holds {most} at most: use limit and offset"] if cut else []
    return (*search.warnings, *more)


def _answer(search: Search, match: QueryMatch, base: str, metadata: str | None) -> dict[str, Any]:
    known = match.attributes
    url = base
    for level in LEVELS[1 : LEVELS.index(match.level) + 1]:
        url += f"/{_PATHS[level]}/{known[_UIDS[level]]['Value'][0]}"
    answer: dict[str, Any] = {}
    if metadata is not None:
        model = orjson.loads(metadata.replace(MARK, url))
        chosen = model if search.every else {tag: model[tag] for tag in search.further if tag in model}
        answer |= chosen
    if search.every:
        answer |= known
    for tag, vr in search.fields.items():
        answer[tag] = known.get(tag) or {"vr": vr}
    for keyword, value in match.counts.items():
        tag, vr, _ = COMPUTED[keyword]
        listed = value if isinstance(value, list) else [value]
        answer[tag] = {"vr": vr, "Value": listed} if listed and value is not None else {"vr": vr}
    answer[_CHARACTER_SET] = _UNICODE
    answer[_AVAILABILITY] = _ONLINE
    answer[_RETRIEVE_URL] = {"vr": "UR", "Value": [url]}
    return dict(sorted(answer.items()))


def _keys(values: Mapping[str, list[str]], level: Level, *, fuzzy: bool, warnings: list[str]) -> dict[str, Matcher]:
    keys: dict[str, Matcher] = {}
    for name, given in values.items():
        if name in _PLAIN:
            continue
        if "." in name:
            for part in name.split("."):
                _keyword(part)
            warnings.append("attributes inside sequences are not matched on")
            continue
        keyword = _keyword(name)
        described = ATTRIBUTES[keyword].level if keyword in ATTRIBUTES else COMPUTED.get(keyword, (0, 0, None))[2]
        if described is None or LEVELS.index(described) > LEVELS.index(level):
            if any(given):
                warnings.append(f"{keyword} is not matched on here")
            continue
        if keyword in keys:
            raise BadQuery(f"{keyword} is there twice, as keyword and as tag")
        keys[keyword] = _matcher(keyword, given, fuzzy=fuzzy)
    return keys


def _matcher(keyword: str, given: list[str], *, fuzzy: bool) -> Matcher:
    vr = ATTRIBUTES[keyword].vr if keyword in ATTRIBUTES else COMPUTED[keyword][1]
    separator = _LISTS.get(vr)
    if separator is not None:
        given = [part.strip() for value in given for part in separator.split(value)]
    elif len(given) > 1:
        raise BadQuery(f"{keyword} is there twice")
    else:
        given = [given[0].strip()]
    matcher = matcher_of(keyword, vr, tuple(given))
    if fuzzy and vr == "PN" and not isinstance(matcher, Universal):
        return Fuzzy(given[0])
    return matcher


def _included(names: Sequence[str], level: Level, warnings: list[str]) -> tuple[bool, list[str], list[str]]:
    """Whether everything is wanted, the indexed attributes that are, and the tags of those that are not indexed."""
    every, wanted, further = False, list[str](), list[str]()
    for name in (name.strip() for name in names):
        if name.lower() == "all":
            every = True
        elif "." in name:
            for part in name.split("."):
                _keyword(part)
            warnings.append("attributes inside sequences are not picked out")
        elif name:
            keyword = _keyword(name)
            described = ATTRIBUTES[keyword].level if keyword in ATTRIBUTES else COMPUTED.get(keyword, (0, 0, None))[2]
            if described is not None and LEVELS.index(described) <= LEVELS.index(level):
                wanted.append(keyword)
            elif level is Level.IMAGE and described is None:
                tag = tag_for_keyword(keyword)
                further.append(f"{tag:08X}" if tag is not None else keyword.upper())
            else:
                warnings.append(f"{keyword} is not known at this level")
    return every, wanted, further


def _default_names(level: Level, *, study_uid: str | None, series_uid: str | None) -> list[str]:
    """Those of the level, and of the levels above that the path leaves open (PS3.18 10.6.3.3)."""
    names = list(_NAMES[level])
    if level is Level.IMAGE:
        names += _SERIES if series_uid is None else ["SeriesInstanceUID"]
    if level is not Level.STUDY:
        names += _STUDY if study_uid is None else ["StudyInstanceUID"]
    return names


def _keyword(name: str) -> str:
    """The keyword of an attribute named by keyword or tag; a private or unknown tag stays as it is.

    Raises:
        BadQuery: neither.
    """
    if _TAG.fullmatch(name):
        return keyword_for_tag(int(name, 16)) or name.upper()
    if not name.isascii() or not name.isalnum() or tag_for_keyword(name) is None:
        raise BadQuery(f"{name[:64]!r} is neither a query parameter nor the keyword or tag of an attribute")
    return name


def _element(keyword: str) -> tuple[str, str]:
    if keyword in ATTRIBUTES:
        return ATTRIBUTES[keyword].tag, ATTRIBUTES[keyword].vr
    if keyword in COMPUTED:
        return COMPUTED[keyword][0], COMPUTED[keyword][1]
    tag = tag_for_keyword(keyword)
    return (f"{tag:08X}", dictionary_VR(tag)) if tag is not None else (keyword, "UN")


def _whole(given: list[str] | None, name: str, default: int) -> int:
    if given is None:
        return default
    if len(given) > 1 or not (given[0].isascii() and given[0].isdigit() and len(given[0]) <= 9):
        raise BadQuery(f"{name} must be one whole number")
    return int(given[0])


def _flag(given: list[str] | None, name: str) -> bool:
    if given is None:
        return False
    if len(given) > 1 or given[0].lower() not in ("true", "false"):
        raise BadQuery(f"{name} must be true or false")
    return given[0].lower() == "true"
