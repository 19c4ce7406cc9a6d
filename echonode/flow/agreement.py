"""How far two models agree over what both saw, or a model and what was measured on the scanner.

Numbers are compared by concept, whatever their codes and units (Bland and Altman, Lancet 1986), refusals by who refused,
answers by how often both gave the same. Between models a case is an object; beside the scanner, whose report is of a
study, a case is a study: the model's number is the mean over the loops at rest that it read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, Final

from echonode.archive.archive import Archive
from echonode.core.agreement_statistics import Agreement, bland_altman
from echonode.core.codes import Code
from echonode.core.errors import BadInput, NotFound
from echonode.core.readings import KeptReading
from echonode.core.results import Finding, Measurement
from echonode.core.settings import LimitsSection
from echonode.dicom.units import in_unit
from echonode.flow.concepts import OF_ONE_VIEW, concept_of, place_of, rank_of, unit_words
from echonode.flow.scanner_reports import measured_at_rest, sent_reports
from echonode.flow.stages import is_rest

SCANNER: Final = "scanner"
"""What commands call the reports that scanners send."""
OBJECT, STUDY = "object", "study"
REASONS: Final = 5
NO_NUMBER: Final = "the report has no number that is understood"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one side said of one case: the best number of each concept (by its name), findings, or why nothing."""

    study_uid: str
    values: Mapping[str, Measurement] = field(default_factory=dict)
    findings: Mapping[Code, Code] = field(default_factory=dict)
    refusal: str = ""

    @property
    def refused(self) -> bool:
        """Whether there is nothing but a reason."""
        return bool(self.refusal) and not self.values and not self.findings


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two numbers of one case, in one unit; `sop_instance_uid` is empty where the case is a study."""

    study_uid: str
    sop_instance_uid: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """a minus b."""
        return self.a - self.b


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptAgreement:
    """One quantity: its pairs, of how many studies, and bias and limits of a minus b where there are two pairs.

    `uneven` counts pairs in units that measure different things (pixels and millimetres); they are left out.
    """

    name: str
    title: str
    unit: str
    pairs: tuple[Pair, ...]
    studies: int
    agreement: Agreement | None
    uneven: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingAgreement:
    """One question that both answered: `table` counts (answer of a, answer of b), most frequent first."""

    title: str
    n: int
    same: int
    table: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusalAgreement:
    """Who refused what both were given, and the commonest reasons of each with their counts."""

    only_a: int
    only_b: int
    both: int
    neither: int
    reasons_a: tuple[tuple[str, int], ...]
    reasons_b: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """`case` is object or study; `seen_a` and `seen_b` count what each saw, `both` what both did. Differences are a
    minus b. `notes` are sentences for people."""

    a: str
    b: str
    case: str
    seen_a: int
    seen_b: int
    both: int
    concepts: tuple[ConceptAgreement, ...]
    findings: tuple[FindingAgreement, ...]
    refusals: RefusalAgreement
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def agreement(
    archive: Archive, a: str, b: str, *, task: str | None = None, limits: LimitsSection | None = None
) -> Comparison:
    """Compare model `a` with model `b`, by the newest reading of each object, shadow or not; either may be "scanner".

    Raises:
        BadInput: both are the same.
        NotFound: a model has said nothing yet, or no study that it saw has a report of a scanner.
    """
    if a == b:
        raise BadInput(f"{a} always agrees with itself; name two models, or a model and {SCANNER}")
    if SCANNER not in (a, b):
        first, second = (answers(_read(archive, name, task)) for name in (a, b))
        return compare(first, second, a=a, b=b, case=OBJECT)
    model = b if a == SCANNER else a
    of_model = study_answers(_read(archive, model, task))
    of_scanner, notes = _scanner(archive, of_model, limits or LimitsSection())
    if not of_scanner:
        raise NotFound(f"none of the {len(of_model)} studies that {model} saw has an echo report of a scanner")
    sides = (of_scanner, of_model) if a == SCANNER else (of_model, of_scanner)
    return compare(*sides, a=a, b=b, case=STUDY, notes=notes)


def answers(readings: Iterable[KeptReading]) -> dict[str, Answer]:
    """What each object was said to show, by its UID; a later reading of the same object goes before."""
    return {
        reading.sop_instance_uid: Answer(
            study_uid=reading.study_uid,
            values=_best(reading),
            findings={each.concept: each.value for each in reading.results if isinstance(each, Finding)},
            refusal="; ".join(dict.fromkeys(each.reason for each in reading.refusals)),
        )
        for reading in readings
    }


def study_answers(readings: Iterable[KeptReading]) -> dict[str, Answer]:
    """What each study was said to show, by its UID: means over its loops at rest; no findings."""
    loops: dict[str, list[Answer]] = defaultdict(list)
    resting = [each for each in readings if is_rest(each.stage)]
    for answer in answers(resting).values():
        loops[answer.study_uid].append(answer)
    return {uid: _mean_answer(uid, said) for uid, said in loops.items()}


def compare(
    a_said: Mapping[str, Answer],
    b_said: Mapping[str, Answer],
    *,
    a: str,
    b: str,
    case: str,
    notes: Sequence[str] = (),
) -> Comparison:
    """Two sides over the cases that both have, keyed alike."""
    both = [key for key in a_said if key in b_said]
    pairs = [(key, a_said[key], b_said[key]) for key in both]
    return Comparison(
        a=a,
        b=b,
        case=case,
        seen_a=len(a_said),
        seen_b=len(b_said),
        both=len(both),
        concepts=_concepts(pairs, case),
        findings=_findings(pairs),
        refusals=_refusals(pairs),
        notes=tuple(notes),
    )


def _read(archive: Archive, model: str, task: str | None) -> list[KeptReading]:
    found = archive.readings.of_model(model, task=task)
    hidden = {uid for uid in {each.study_uid for each in found} if _is_hidden(archive, uid)}
    kept = [each for each in found if each.study_uid not in hidden]
    if not kept:
        of_task = f" for the task {task}" if task else ""
        raise NotFound(f"no model {model!r} has said anything{of_task} yet; `echonode models list` names the models")
    return kept


def _is_hidden(archive: Archive, study_uid: str) -> bool:
    """What the node simulated to check itself is nobody's study."""
    state = archive.studies.state(study_uid)
    return state is None or state.hidden


def _scanner(
    archive: Archive, studies: Iterable[str], limits: LimitsSection
) -> tuple[dict[str, Answer], tuple[str, ...]]:
    found: dict[str, Answer] = {}
    unreadable: list[str] = []
    unread: Counter[str] = Counter()
    for study_uid in studies:
        sent = sent_reports(archive, study_uid, limits=limits)
        unreadable += sent.unreadable
        unread.update(each.reason for report in sent.reports for each in report.unread)
        if sent.reports:
            values = measured_at_rest(sent.reports)
            found[study_uid] = Answer(study_uid=study_uid, values=values, refusal="" if values else NO_NUMBER)
    notes = [
        "the model's number is the mean over the loops at rest of a study, the scanner's what its report says of it"
    ]
    notes += [
        f"{count} numbers of the scanner were left out: {reason}" for reason, count in unread.most_common(REASONS)
    ]
    notes += [f"a report could not be read: {reason}" for reason in unreadable[:REASONS]]
    return found, tuple(notes)


def _best(reading: KeptReading) -> dict[str, Measurement]:
    """The number of each concept that was found the best way; the first one of several alike."""
    found: dict[str, Measurement] = {}
    for each in reading.measurements:
        name = concept_of(each.concept).name
        known = found.get(name)
        if known is None or rank_of(each, reading.view or "") < rank_of(known, reading.view or ""):
            found[name] = each
    return found


def _mean_answer(study_uid: str, loops: Sequence[Answer]) -> Answer:
    numbers: dict[str, list[Measurement]] = defaultdict(list)
    for loop in loops:
        for name, each in loop.values.items():
            if each.concept.value not in OF_ONE_VIEW:
                numbers[name].append(each)
    values = {name: mean for name, given in numbers.items() if (mean := _mean(given)) is not None}
    reasons = Counter(loop.refusal for loop in loops if loop.refused)
    refusal = reasons.most_common(1)[0][0] if reasons and not values else ""
    return Answer(study_uid=study_uid, values=values, refusal=refusal)


def _mean(numbers: Sequence[Measurement]) -> Measurement | None:
    first = numbers[0]
    converted = [in_unit(each.value, each.unit, first.unit) for each in numbers]
    known = [value for value in converted if value is not None]
    if len(known) < len(numbers):
        return None
    return Measurement(concept=first.concept, value=fmean(known), unit=first.unit, method=first.method)


def _concepts(cases: Sequence[tuple[str, Answer, Answer]], case: str) -> tuple[ConceptAgreement, ...]:
    pairs: dict[str, list[Pair]] = defaultdict(list)
    uneven: Counter[str] = Counter()
    first = _commonest_units(cases)
    for key, one, other in cases:
        for name in one.values.keys() & other.values.keys():
            unit = first[name].unit
            a, b = (in_unit(each.value, each.unit, unit) for each in (one.values[name], other.values[name]))
            if a is None or b is None:
                uneven[name] += 1
                continue
            uid = key if case == OBJECT else ""
            pairs[name].append(Pair(study_uid=one.study_uid, sop_instance_uid=uid, a=a, b=b))
    found = []
    for name in sorted(first, key=lambda name: place_of(first[name].concept)):
        paired = pairs[name]
        found.append(
            ConceptAgreement(
                name=name,
                title=concept_of(first[name].concept).title,
                unit=unit_words(first[name].unit),
                pairs=tuple(paired),
                studies=len({each.study_uid for each in paired}),
                agreement=bland_altman([each.a for each in paired], [each.b for each in paired])
                if len(paired) > 1
                else None,
                uneven=uneven[name],
            )
        )
    return tuple(found)


def _commonest_units(cases: Sequence[tuple[str, Answer, Answer]]) -> dict[str, Measurement]:
    """A number of each shared concept in the unit that a gives it in most often: loops without calibration are few."""
    given: dict[str, list[Measurement]] = defaultdict(list)
    for _, one, other in cases:
        for name in one.values.keys() & other.values.keys():
            given[name].append(one.values[name])
    units = {name: Counter(each.unit for each in numbers).most_common(1)[0][0] for name, numbers in given.items()}
    return {name: next(each for each in numbers if each.unit == units[name]) for name, numbers in given.items()}


def _findings(cases: Sequence[tuple[str, Answer, Answer]]) -> tuple[FindingAgreement, ...]:
    tables: dict[Code, Counter[tuple[str, str]]] = defaultdict(Counter)
    for _, one, other in cases:
        for concept, answer in one.findings.items():
            if concept in other.findings:
                tables[concept][answer.meaning, other.findings[concept].meaning] += 1
    return tuple(
        FindingAgreement(
            title=concept.meaning,
            n=table.total(),
            same=sum(count for (a, b), count in table.items() if a == b),
            table=tuple((a, b, count) for (a, b), count in table.most_common()),
        )
        for concept, table in tables.items()
    )


def _refusals(cases: Sequence[tuple[str, Answer, Answer]]) -> RefusalAgreement:
    who = Counter((one.refused, other.refused) for _, one, other in cases)

    def reasons(side: int) -> tuple[tuple[str, int], ...]:
        refused = [case[side] for case in cases]
        told = Counter(each.refusal for each in refused if isinstance(each, Answer) and each.refused)
        return tuple(told.most_common(REASONS))

    return RefusalAgreement(
        only_a=who[True, False],
        only_b=who[False, True],
        both=who[True, True],
        neither=who[False, False],
        reasons_a=reasons(1),
        reasons_b=reasons(2),
    )
