"""The routes of the command line (routing/spelling.py) with their settings: those of worker.yaml,
by their names there.

    --route /live=127.0.0.1:9000,timeouts.stream=6h,proxy.on_client_gone=abort

worker.yaml itself is read by other code, which the router does not load: it brings PyYAML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from tqunits.config.reject import Reject
from tqunits.config.values import HEAD_BYTES, MANY, RESPONSE_FIELDS, boolean, integer, size, size_within, span
from tqunits.errors import UsageError
from tqunits.model import ClientGone, HeadLimits, Retry, zero_if_endless
from tqunits.routing.snapshot import DEFAULT_QUEUE_US, RoutedWorker, Snapshot
from tqunits.routing.spelling import parse_route, snapshot_around, worker_of

Apply = Callable[[RoutedWorker, str], RoutedWorker]


def snapshot_of(routes: Sequence[str], *, strip: bool, queue_us: int = DEFAULT_QUEUE_US) -> Snapshot:
    """A snapshot of `--route` options. Raises UsageError that says what to write instead."""
    workers: dict[str, RoutedWorker] = {}
    for route in map(parse_route, routes):
        worker = worker_of(route, workers.get(route.name), strip=strip, queue_us=queue_us)
        workers[route.name] = with_options(worker, route.options, route.where)
    return snapshot_around(workers.values())


def with_options(worker: RoutedWorker, options: Sequence[str], where: str) -> RoutedWorker:
    """The worker as they want it. Raises UsageError that names what is wrong."""
    for option in options:
        name, _, value = option.partition("=")
        if name not in OPTIONS:
            close = get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {close[0]}?" if close else f"write one of {', '.join(OPTIONS)}"
            raise UsageError(f"{where}: no option {name!r}", hint=hint)
        try:
            worker = OPTIONS[name](worker, value)
        except Reject as rejected:
            raise UsageError(f"{where}: {name}: {rejected}", hint=rejected.hint) from None
        except ValueError:  # of an enumeration
            raise UsageError(f"{where}: {name}: {value!r} is none of its values") from None
    return worker


def _times(worker: RoutedWorker, **spans: int) -> RoutedWorker:
    return replace(worker, timeouts=replace(worker.timeouts, **spans))


def _head_limits(worker: RoutedWorker, *, head: int, fields: int) -> RoutedWorker:
    return replace(worker, response_heads=HeadLimits(request_line=head, head=head, fields=fields))


def _longest_head(worker: RoutedWorker, text: str) -> RoutedWorker:
    longest = size_within(text, least=HEAD_BYTES[0], most=HEAD_BYTES[1])
    return _head_limits(worker, head=longest, fields=worker.response_heads.fields)


def _most_fields(worker: RoutedWorker, text: str) -> RoutedWorker:
    most = integer(text, least=RESPONSE_FIELDS[0], most=RESPONSE_FIELDS[1])
    return _head_limits(worker, head=worker.response_heads.head, fields=most)


OPTIONS: Final[Mapping[str, Apply]] = {
    "timeouts.request": lambda worker, text: _times(worker, request_us=zero_if_endless(span(text))),
    "timeouts.read": lambda worker, text: _times(worker, read_us=zero_if_endless(span(text))),
    "timeouts.write": lambda worker, text: _times(worker, write_us=zero_if_endless(span(text))),
    "timeouts.idle": lambda worker, text: _times(worker, idle_us=zero_if_endless(span(text))),
    "timeouts.body": lambda worker, text: _times(worker, body_us=zero_if_endless(span(text))),
    "timeouts.stream": lambda worker, text: _times(worker, stream_us=zero_if_endless(span(text))),
    "proxy.max_body": lambda worker, text: replace(worker, max_body=zero_if_endless(size(text))),
    "proxy.min_body_rate": lambda worker, text: replace(worker, min_body_rate=zero_if_endless(size(text))),
    "proxy.max_inflight": lambda worker, text: replace(worker, max_inflight=integer(text, least=1, most=MANY)),
    "proxy.queue_timeout": lambda worker, text: replace(worker, queue_us=zero_if_endless(span(text))),
    "proxy.retry": lambda worker, text: replace(worker, retry=Retry(text)),
    "proxy.buffer_requests": lambda worker, text: replace(worker, buffer_requests=boolean(text)),
    "proxy.allow_encoded_slash": lambda worker, text: replace(worker, encoded_slash=boolean(text)),
    "proxy.raw_path": lambda worker, text: replace(worker, raw_path=boolean(text)),
    "proxy.via": lambda worker, text: replace(worker, via=boolean(text)),
    "proxy.on_client_gone": lambda worker, text: replace(worker, on_client_gone=ClientGone(text)),
    "proxy.max_response_head": _longest_head,
    "proxy.max_response_fields": _most_fields,
    "strip_prefix": lambda worker, text: replace(worker, strip_prefix=boolean(text)),
}
