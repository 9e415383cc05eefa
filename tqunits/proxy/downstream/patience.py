"""Which setting a time-out is of: who reads the log is to know what to change."""

from __future__ import annotations

from tqunits.config.values import print_span
from tqunits.routing.snapshot import WorkerTimeouts


def silence_said(timeouts: WorkerTimeouts, *, body: bool) -> str:
    """How long nothing may move between the worker and its client. `body`: the request has one."""
    if body and timeouts.write_us > timeouts.read_us:
        return f"{print_span(timeouts.write_us)} (timeouts.write)"
    return f"{print_span(timeouts.read_us)} (timeouts.read)"


def request_said(timeouts: WorkerTimeouts) -> str:
    """How long a request may take in all."""
    return f"{print_span(timeouts.request_us)} (timeouts.request)"


def stream_said(timeouts: WorkerTimeouts) -> str:
    """How long a stream may be silent."""
    return f"{print_span(timeouts.stream_us)} (timeouts.stream)"
