"""Values and findings sorted into groups, one a topic, stage and contrast state; none is averaged or fused across them."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.errors import EchonodeError
from echonode.core.facts import Facts
from echonode.core.identity import digest_of
from echonode.core.readings import Combine, KeptReading
from echonode.core.report import Refused, ReportedFinding, ReportedValue, ValueGroup
from echonode.core.results import Finding, Ineligible, Measurement
from echonode.core.task import TaskSpec, resolve
from echonode.flow.algorithms import Algorithms, algorithm_behind, algorithm_of
from echonode.flow.concepts import MEAN, OF_ONE_VIEW, PIXELS, PLANES, TITLES, place_of, rank_of, topic_of
from echonode.flow.stages import is_rest, stage_key

VIEW_TASK: Final = "view"
NO_CONCEPT: Final = Code("NONE", PRIVATE_SCHEME, "Of a task that gave no number")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """One group; `tasks` gave its values, one a value; the first `of_study` of them stand for loops together."""

    group: ValueGroup
    tasks: tuple[str, ...]
    of_study: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """A number of a loop, or of the study, and the task that gave it."""

    task: str
    value: ReportedValue


def groups_of(
    readings: Sequence[KeptReading],
    facts: Sequence[Facts],
    *,
    algorithms: Algorithms,
    tasks: Mapping[str, TaskSpec],
) -> tuple[Sorted, ...]:
    """Groups in the order in which their loops came, rest first; `facts` tell the stage and contrast of each object.

    `TaskSpec.combine` is called once a task, stage and contrast state, with its readings by SOP Instance UID. A task
    without one has the mean over resting loops as its study value, where more than one loop gave the same concept.
    """
    known = {each.sop_instance_uid: each for each in facts}
    states: dict[tuple[str, bool], list[KeptReading]] = defaultdict(list)
    first: dict[tuple[str, bool], int] = {}
    order = {each.sop_instance_uid: place for place, each in enumerate(facts)}
    for reading in sorted(readings, key=reading_key):
        of = known.get(reading.sop_instance_uid)
        if of is None or of.derived or reading.task == VIEW_TASK:
            continue
        state = (stage_key(of.stage), of.contrast)
        states[state].append(reading)
        first[state] = min(order[of.sop_instance_uid], first.get(state, len(order)))
    found: list[Sorted] = []
    for state in sorted(states, key=lambda each: (not is_rest(each[0]), each[1], first[each])):
        # Two spellings of one stage are told as the alphabet has them, not as they came.
        stages = [known[reading.sop_instance_uid].stage for reading in states[state]]
        stage = min((each.strip() for each in stages if each and each.strip()), default=None)
        found += _groups_of_state(states[state], known, stage, state[1], algorithms, tasks)
    return tuple(sorted(found, key=lambda each: list(TITLES).index(each.group.topic)))


def _groups_of_state(
    readings: Sequence[KeptReading],
    facts: Mapping[str, Facts],
    stage: str | None,
    contrast: bool,
    algorithms: Algorithms,
    tasks: Mapping[str, TaskSpec],
) -> list[Sorted]:
    of_study: list[_Said] = []
    of_loops: list[_Said] = []
    refused: dict[str, list[Refused]] = defaultdict(list)
    for task in sorted({reading.task for reading in readings}):
        own = _once([reading for reading in readings if reading.task == task])
        loops = _of_loops(own, algorithms)
        spec = tasks.get(task)
        if spec is not None and spec.combine is not None:
            values, reasons = _combined(own, spec, algorithms)
            refused[_topic(task, own)] += reasons
        else:
            values = _means(loops, facts) if is_rest(stage) else []
        of_loops += [each for each in loops if not any(_same(each.value, value) for value in values)]
        of_study += [_Said(task=task, value=value) for value in values]
    findings = _findings(readings, algorithms)
    return [
        group
        for topic in TITLES
        for group in (_group(topic, stage, contrast, of_study, of_loops, findings[topic], refused[topic]),)
        if group.group.values or group.group.findings or group.group.refusals
    ]


def reading_key(reading: KeptReading) -> tuple[str, ...]:
    """Sorts readings by what they say, whenever and by whichever work they were made."""
    return (
        reading.sop_instance_uid,
        reading.task,
        reading.model,
        reading.digest,
        digest_of(reading.parameters),
        repr(reading.results),
        reading.route,
    )


def title_of_group(topic: str, stage: str | None, contrast: bool) -> str:
    """A group for people: "LV function, stage Low Dose"."""
    return ", ".join([TITLES[topic], *([f"stage {stage}"] if stage else []), *(["with contrast"] if contrast else [])])


def _group(
    topic: str,
    stage: str | None,
    contrast: bool,
    of_study: Iterable[_Said],
    of_loops: Iterable[_Said],
    findings: Sequence[ReportedFinding],
    refused: Sequence[Refused],
) -> Sorted:
    own, each_loop = (
        sorted(
            (one for one in told if topic_of(one.value.measurement.concept, one.task) == topic),
            key=lambda one: place_of(one.value.measurement.concept),
        )
        for told in (of_study, of_loops)
    )
    group = ValueGroup(
        topic=topic,
        title=title_of_group(topic, stage, contrast),
        stage=stage,
        contrast=contrast,
        values=tuple(one.value for one in (*own, *each_loop)),
        findings=tuple(findings),
        refusals=tuple(sorted(refused, key=lambda each: (each.task, each.reason))),
    )
    return Sorted(group=group, tasks=tuple(one.task for one in (*own, *each_loop)), of_study=len(own))


def _topic(task: str, readings: Sequence[KeptReading]) -> str:
    """Where a task's refusals belong: with what it measured."""
    topics = [topic_of(number.concept, task) for reading in readings for number in reading.measurements]
    return max(sorted(set(topics)), key=topics.count) if topics else topic_of(NO_CONCEPT, task)


def _once(readings: Sequence[KeptReading]) -> list[KeptReading]:
    """The readings without those that repeat, by another route, what the same model said of the same object."""
    distinct: dict[tuple[str, str, str, str], KeptReading] = {}
    for reading in readings:
        what = (reading.sop_instance_uid, reading.digest, digest_of(reading.parameters), repr(reading.results))
        distinct.setdefault(what, reading)
    return list(distinct.values())


def _of_loops(readings: Sequence[KeptReading], algorithms: Algorithms) -> list[_Said]:
    return [
        _Said(
            task=reading.task,
            value=ReportedValue(
                measurement=number,
                frames={reading.sop_instance_uid: tuple(number.frames)},
                algorithm=algorithm_of(reading, algorithms),
            ),
        )
        for reading in readings
        for number in reading.measurements
    ]


def _findings(readings: Sequence[KeptReading], algorithms: Algorithms) -> dict[str, list[ReportedFinding]]:
    found: dict[str, list[ReportedFinding]] = defaultdict(list)
    for reading in _once(readings):
        for result in reading.results:
            if isinstance(result, Finding):
                frames = {reading.sop_instance_uid: tuple(result.frames)}
                said = ReportedFinding(finding=result, frames=frames, algorithm=algorithm_of(reading, algorithms))
                found[topic_of(result.concept, reading.task)].append(said)
    return found


def _combined(
    readings: Sequence[KeptReading], spec: TaskSpec, algorithms: Algorithms
) -> tuple[list[ReportedValue], list[Refused]]:
    """What the task itself makes of its readings of one stage and contrast state."""
    if spec.combine is None or all(len(reading.refusals) == len(reading.results) for reading in readings):
        return [], []
    try:
        combine: Combine = resolve(spec.combine)
        said = combine(readings)
    except Exception as error:  # noqa: BLE001  the edge to a task's own code: the report says so, and comes
        why = str(error) if isinstance(error, EchonodeError) else f"{type(error).__name__}: {error}"
        return [], [Refused(task=spec.title, reason=f"its loops cannot be combined: {why}", code="combine")]
    values = [
        ReportedValue(
            measurement=each.measurement,
            frames={uid: tuple(frames) for uid, frames in sorted(each.frames.items())},
            algorithm=algorithm_behind(each, readings, algorithms),
        )
        for each in said
        if not isinstance(each, Ineligible)
    ]
    reasons = {(each.reason, each.code) for each in said if isinstance(each, Ineligible)}
    return values, [Refused(task=spec.title, reason=reason, code=code) for reason, code in sorted(reasons)]


def _means(said: Sequence[_Said], facts: Mapping[str, Facts]) -> list[ReportedValue]:
    """The mean over loops of what one model gave of one concept by one method; nothing for a single loop."""
    alike: dict[tuple[object, ...], list[ReportedValue]] = defaultdict(list)
    for each in said:
        number, algorithm = each.value.measurement, each.value.algorithm
        if number.unit == PIXELS:
            continue  # depends on how far the scanner was zoomed in
        (uid,) = each.value.frames
        of_plane = rank_of(number, facts[uid].view or "") in PLANES
        view = facts[uid].view if of_plane or number.concept.value in OF_ONE_VIEW else None
        model = None if algorithm is None else (algorithm.digest, digest_of(algorithm.parameters))
        alike[(number.concept, number.unit, number.method, number.site, model, view)].append(each.value)
    return [_mean(values) for values in alike.values() if len({uid for one in values for uid in one.frames}) > 1]


def _mean(values: Sequence[ReportedValue]) -> ReportedValue:
    """The mean of loops. Its limits are the widest of a single loop's: nobody has tested the mean."""
    numbers = [each.measurement for each in values]
    by_loop: dict[str, list[float]] = defaultdict(list)
    for each in values:
        for uid in each.frames:
            by_loop[uid].append(each.measurement.value)
    loops = [math.fsum(said) / len(said) for said in by_loop.values()]
    count = len(loops)
    limits = [each for each in numbers if each.uncertainty is not None]
    widest = max(limits, key=lambda each: (each.uncertainty or 0.0, each.uncertainty_basis), default=None)
    whole = widest is not None and len(limits) == len(numbers)
    shared = [note for note in numbers[0].notes if all(note in each.notes for each in numbers)]
    measurement = Measurement(
        concept=numbers[0].concept,
        value=math.fsum(loops) / count,
        unit=numbers[0].unit,
        method=numbers[0].method,
        uncertainty=widest.uncertainty if widest is not None and whole else None,
        uncertainty_basis=f"of a single loop: {widest.uncertainty_basis}" if widest is not None and whole else "",
        repeatability=statistics.stdev(loops),
        count=count,
        site=numbers[0].site,
        derivation=MEAN,
        notes=(f"mean over {count} loops; repeatability is the standard deviation over them", *shared),
    )
    frames = {uid: found for each in values for uid, found in each.frames.items()}
    return replace(values[0], measurement=measurement, frames=dict(sorted(frames.items())))


def _same(loop: ReportedValue, study: ReportedValue) -> bool:
    """Whether a study value only repeats what one loop said."""
    one, other = loop.measurement, study.measurement
    return (
        loop.frames.keys() == study.frames.keys()
        and (one.concept, one.unit, one.method) == (other.concept, other.unit, other.method)
        and math.isclose(one.value, other.value, rel_tol=1e-9)
    )
