"""The counters as OpenMetrics 1.0 text, which Prometheus and its kin read.

https://prometheus.io/docs/specs/om/open_metrics_spec/: a family is TYPE, UNIT, HELP and its
samples, never interleaved with another; a counter's sample ends in _total; a unit is the end of its
family's name; buckets are cumulative, rise, and end with +Inf; the text ends with `# EOF`.
`_created` is left out: a process that starts again starts at 0, which is how a reset is told from a
number that fell.

Each router process has a text of its own, so every sample says which one it is from; sum() over
`process` is the host. The text of the manager is about all of them, and has no label `process` on
what it has added up (totals.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tqunits.metrics.counters import RouterMetrics, WorkerMetrics

END: Final = "# EOF\n"
"""The last line of each text."""

DURATIONS: Final = "tqunits_request_duration_seconds"
CERTIFICATES: Final = "tqunits_certificate_expiry_timestamp_seconds"

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What is not counted but stands at the moment of rendering."""

    connections: int  # of clients, open
    in_flight: Mapping[str, int]  # endpoint as people write it -> requests that it has at the moment
    log_dropped: int  # lines of the access log that nobody took
    certificates: Mapping[str, int] = field(default_factory=dict)  # file -> when it ends, seconds since 1970


def render(metrics: RouterMetrics, now: Now, *, process: str) -> bytes:
    """The whole exposition. `process`: what tells this router process from the others, such as its
    instance name."""
    return encoded([*families(metrics, now, process=process), END])


def families(metrics: RouterMetrics, now: Now, *, process: str | None) -> Iterator[str]:
    """The same without its end. None: the numbers are of all processes together."""
    mine = label("process", process) if process is not None else ""
    workers = [(_joined(mine, label("worker", name)), metrics.workers[name]) for name in sorted(metrics.workers)]
    yield from _requests(workers)
    yield from _durations(workers)
    yield from _worker_counters(workers)
    yield from _router(mine, metrics)
    yield from _gauges(mine, now)


def encoded(lines: Sequence[str]) -> bytes:
    """The bytes of a text. A name may hold a lone surrogate, which has no UTF-8."""
    return "".join(lines).encode("utf-8", "replace")


def family(name: str, kind: str, text: str, unit: str = "") -> str:
    """What a family begins with."""
    described = f"# UNIT {name} {unit}\n" if unit else ""
    return f"# TYPE {name} {kind}\n{described}# HELP {name} {text}\n"


def label(name: str, value: str) -> str:
    """A label with its value."""
    return f'{name}="{escaped(value)}"'


def seconds(microseconds: int) -> str:
    """A time or a span, as the format has it."""
    return f"{microseconds // 10**6}.{microseconds % 10**6:06}"


def escaped(text: str) -> str:
    r"""A label's value, to be put between double quotes: `\\`, `\"` and `\n` are all that the
    format escapes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


_Workers = Sequence[tuple[str, WorkerMetrics]]
"""Each with its labels, written."""

_WORKER_COUNTERS: Final[tuple[tuple[str, str, str, Callable[[WorkerMetrics], int]], ...]] = (
    ("tqunits_retries", "", "Attempts on another connection after one failed.", lambda w: w.retries),
    ("tqunits_held_requests", "", "Requests that waited for an endpoint or for their turn.", lambda w: w.held),
    ("tqunits_queue_full", "", "Requests that found no place to wait.", lambda w: w.queue_full),
    ("tqunits_queue_timeouts", "", "Requests that waited in vain.", lambda w: w.queue_timeouts),
    ("tqunits_cut_responses", "", "Responses that the worker did not finish.", lambda w: w.cut),
    ("tqunits_clients_gone", "", "Clients that left before their response was complete.", lambda w: w.gone),
    ("tqunits_request_body_bytes", "bytes", "Bodies received from clients.", lambda w: w.received),
    ("tqunits_response_body_bytes", "bytes", "Bodies sent to clients.", lambda w: w.sent),
)
"""Family, unit, help, value."""


def _requests(workers: _Workers) -> Iterator[str]:
    yield family("tqunits_requests", "counter", "Requests that got a final response, by its status class.")
    for labels, worker in workers:
        yield from _by_class("tqunits_requests_total", labels, worker.classes)


def _durations(workers: _Workers) -> Iterator[str]:
    name = DURATIONS
    yield family(name, "histogram", "From a request's head to the last byte of its response.", "seconds")
    for labels, worker in workers:
        for bound, count in worker.duration.cumulative():
            yield f'{name}_bucket{{{labels},le="{bound / 1e6!r}"}} {count}\n'
        count = worker.duration.count
        yield f'{name}_bucket{{{labels},le="+Inf"}} {count}\n'
        yield f"{name}_count{{{labels}}} {count}\n"
        yield f"{name}_sum{{{labels}}} {seconds(worker.duration.total)}\n"


def _worker_counters(workers: _Workers) -> Iterator[str]:
    for name, unit, text, value in _WORKER_COUNTERS:
        yield family(name, "counter", text, unit)
        for labels, worker in workers:
            yield f"{name}_total{{{labels}}} {value(worker)}\n"


def _router(mine: str, metrics: RouterMetrics) -> Iterator[str]:
    yield family("tqunits_unrouted_requests", "counter", "Requests refused before they had a worker, by status class.")
    yield from _by_class("tqunits_unrouted_requests_total", mine, metrics.unrouted)
    yield family("tqunits_accepted_connections", "counter", "Connections of clients.")
    yield f"tqunits_accepted_connections_total{_braced(mine)} {metrics.accepted}\n"
    yield family("tqunits_idle_closed", "counter", "Idle connections closed to make room for others.")
    yield f"tqunits_idle_closed_total{_braced(mine)} {metrics.idle_closed}\n"
    yield family("tqunits_accept_pauses", "counter", "Times that descriptors or memory ran out.")
    yield f"tqunits_accept_pauses_total{_braced(mine)} {metrics.accept_pauses}\n"


def _gauges(mine: str, now: Now) -> Iterator[str]:
    yield family("tqunits_access_log_dropped_lines", "counter", "Lines of the access log that nobody took.")
    yield f"tqunits_access_log_dropped_lines_total{_braced(mine)} {now.log_dropped}\n"
    yield family("tqunits_open_connections", "gauge", "Connections of clients that are open.")
    yield f"tqunits_open_connections{_braced(mine)} {now.connections}\n"
    yield family("tqunits_in_flight_requests", "gauge", "Requests that an endpoint has at the moment.")
    for endpoint in sorted(now.in_flight):
        yield f"tqunits_in_flight_requests{{{_joined(mine, label('endpoint', endpoint))}}} {now.in_flight[endpoint]}\n"
    yield family(CERTIFICATES, "gauge", "When a certificate is valid no longer, in seconds since 1970.", "seconds")
    for certificate in sorted(now.certificates):
        labels = _joined(mine, label("certificate", certificate))
        yield f"{CERTIFICATES}{{{labels}}} {now.certificates[certificate]}\n"


def _by_class(name: str, labels: str, classes: Sequence[int]) -> Iterator[str]:
    for number in range(1, 6):
        code = f'code="{number}xx"'
        yield f"{name}{{{_joined(labels, code)}}} {classes[number]}\n"


def _joined(labels: str, more: str) -> str:
    return f"{labels},{more}" if labels else more


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""
