"""The manager's own part of the metrics: instances, the routers that it has asked, and itself. Text
of frozen values, without I/O.

The families are OpenMetrics' (metrics/openmetrics.py has the rules). An instance is told by the
labels `worker` and `number`: Prometheus has a label `instance` of its own, the address that it
asked. What is not known has no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from tqunits.lifecycle.state import Event, State
from tqunits.light_dataclass import dataclass
from tqunits.manager.record import InstanceRecord
from tqunits.manager.usage import Usage
from tqunits.metrics.openmetrics import family, label, seconds


@dataclass(frozen=True, slots=True)
class MeasuredInstance:
    """An instance at the moment of a scrape."""

    record: InstanceRecord
    usage: Usage
    release: str | None = None  # the ID of the one that it serves with


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredWatch:
    """The watch of a worker's folder at the moment of a scrape."""

    worker: str
    folders: int  # that the kernel watches
    last_event_us: int | None  # µs since 1970; None: there was none
    is_broken: bool  # changes are not noticed
    is_suspended: bool  # they are, and nothing is done about them


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerFacts:
    """The manager at the moment of a scrape."""

    release: str
    started: int  # µs since 1970
    usage: Usage
    changes: int  # of states of instances, since its start


def of_instances(instances: Sequence[MeasuredInstance]) -> Iterator[str]:
    """The families about instances."""
    labelled = [(_labels(each.record), each) for each in instances]
    yield from _states(labelled)
    yield from _releases(labelled)
    yield from _restarts(labelled)
    for name, kind, unit, text, value in _NUMBERS:
        yield family(name, kind, text, unit)
        suffix = "_total" if kind == "counter" else ""
        for labels, each in labelled:
            number = value(each)
            if number is not None:
                yield f"{name}{suffix}{{{labels}}} {number}\n"


def of_watches(watches: Sequence[MeasuredWatch]) -> Iterator[str]:
    """The families about the folders that are watched, by worker."""
    for name, unit, text, value in _OF_WATCHES:
        yield family(name, "gauge", text, unit)
        for each in watches:
            number = value(each)
            if number is not None:
                yield f"{name}{{{label('worker', each.worker)}}} {number}\n"


def of_routers(answers: Mapping[str, bool]) -> Iterator[str]:
    """Whether each process of the router that runs has told its numbers, by its name."""
    yield family(
        "tqunits_router_answered", "gauge", "Whether a running router process has told its numbers (1) or not."
    )
    for process in sorted(answers):
        yield f"tqunits_router_answered{{{label('process', process)}}} {int(answers[process])}\n"


def of_manager(facts: ManagerFacts) -> Iterator[str]:
    """The families about the manager itself."""
    yield family("tqunits_manager", "info", "The release of the manager.")
    yield f"tqunits_manager_info{{{label('release', facts.release)}}} 1\n"
    start = "tqunits_manager_start_timestamp_seconds"
    yield family(start, "gauge", "When the manager was started, in seconds since 1970.", "seconds")
    yield f"{start} {seconds(facts.started)}\n"
    yield family("tqunits_manager_memory_bytes", "gauge", "Memory of the manager's process.", "bytes")
    yield f"tqunits_manager_memory_bytes {facts.usage.memory or 0}\n"
    yield family("tqunits_manager_cpu_seconds", "counter", "CPU time of the manager's process.", "seconds")
    yield f"tqunits_manager_cpu_seconds_total {seconds(facts.usage.cpu or 0)}\n"
    yield family("tqunits_manager_changes", "counter", "Changes of states that the manager has seen.")
    yield f"tqunits_manager_changes_total {facts.changes}\n"


_Labelled = Sequence[tuple[str, MeasuredInstance]]
"""Each with its labels, written."""


def _labels(record: InstanceRecord) -> str:
    whose = record.place.whose
    return f'{label("worker", whose.worker)},number="{whose.number}"'


def _states(instances: _Labelled) -> Iterator[str]:
    """A state set: one of the samples of an instance is 1, the others are 0. Its label has the
    family's name."""
    name = "tqunits_instance_state"
    yield family(name, "stateset", "The state of an instance.")
    for labels, each in instances:
        for state in State:
            yield f"{name}{{{labels},{label(name, state.value)}}} {int(state is each.record.state)}\n"


def _releases(instances: _Labelled) -> Iterator[str]:
    """A deploy gives an instance another sample: whoever counts the samples of a release counts the
    instances that serve with it."""
    yield family("tqunits_instance", "info", "The release that an instance serves with.")
    for labels, each in instances:
        if each.release is not None:
            yield f"tqunits_instance_info{{{labels},{label('release', each.release)}}} 1\n"


def _restarts(instances: _Labelled) -> Iterator[str]:
    name = "tqunits_instance_restarts"
    text = "Restarts by systemd, after an instance has ended by itself, and by the manager, after failed health checks."
    yield family(name, "counter", text)
    for labels, each in instances:
        for by, count in (("systemd", each.record.seen.restarts), ("manager", each.record.requested_restarts)):
            yield f'{name}_total{{{labels},by="{by}"}} {count}\n'


def _check_healthy(each: MeasuredInstance) -> str | None:
    check = each.record.check
    return None if check is None else str(int(not check.wrong))


def _check_failures(each: MeasuredInstance) -> str | None:
    check = each.record.check
    return None if check is None else str(check.failures)


def _check_at(each: MeasuredInstance) -> str | None:
    check = each.record.check
    return None if check is None else seconds(check.at)


def _check_elapsed(each: MeasuredInstance) -> str | None:
    check = each.record.check
    return None if check is None else seconds(check.elapsed)


def _serves_since(each: MeasuredInstance) -> str | None:
    seen = each.record.seen
    return seconds(seen.started) if seen.started is not None and seen.event is Event.READY else None


def _memory(each: MeasuredInstance) -> str | None:
    return None if each.usage.memory is None else str(each.usage.memory)


def _memory_limit(each: MeasuredInstance) -> str | None:
    return None if each.usage.memory_limit is None else str(each.usage.memory_limit)


def _cpu(each: MeasuredInstance) -> str | None:
    return None if each.usage.cpu is None else seconds(each.usage.cpu)


_OF_WATCHES: Final[Sequence[tuple[str, str, str, Callable[[MeasuredWatch], int | str | None]]]] = (
    ("tqunits_watch_folders", "", "Folders of a worker that the kernel watches.", lambda each: each.folders),
    (
        "tqunits_watch_event_timestamp_seconds",
        "seconds",
        "When something has changed there last, in seconds since 1970.",
        lambda each: None if each.last_event_us is None else seconds(each.last_event_us),
    ),
    (
        "tqunits_watch_broken",
        "",
        "Whether changes of its files are not noticed (1) or are (0).",
        lambda each: int(each.is_broken),
    ),
    (
        "tqunits_watch_suspended",
        "",
        "Whether nothing is done about them, because the worker may make them itself.",
        lambda each: int(each.is_suspended),
    ),
)
"""Family, unit, help, value."""

_NUMBERS: Final[Sequence[tuple[str, str, str, str, Callable[[MeasuredInstance], str | None]]]] = (
    ("tqunits_instance_check_healthy", "gauge", "", "Whether the last health check has passed.", _check_healthy),
    ("tqunits_instance_check_failures", "gauge", "", "Failed health checks in a row.", _check_failures),
    (
        "tqunits_instance_check_timestamp_seconds",
        "gauge",
        "seconds",
        "When the last health check began, in seconds since 1970.",
        _check_at,
    ),
    ("tqunits_instance_check_duration_seconds", "gauge", "seconds", "How long it took.", _check_elapsed),
    (
        "tqunits_instance_start_timestamp_seconds",
        "gauge",
        "seconds",
        "Since when the instance serves, in seconds since 1970.",
        _serves_since,
    ),
    ("tqunits_instance_memory_bytes", "gauge", "bytes", "Memory that the instance uses now, with caches.", _memory),
    ("tqunits_instance_memory_limit_bytes", "gauge", "bytes", "The most memory that it may use.", _memory_limit),
    ("tqunits_instance_cpu_seconds", "counter", "seconds", "CPU time since the start of its unit.", _cpu),
)
"""Family, type, unit, help, value."""
