"""Time spans on the command line, in systemd's spelling (systemd.time(7)): argparse's types, in
microseconds."""

from __future__ import annotations

import argparse

from tqunits.config.reject import Reject
from tqunits.config.values import print_span, span


def span_argument(text: str) -> int:
    """A time span. Raises ArgumentTypeError, whose text argparse shows."""
    try:
        return span(text)
    except Reject as rejected:
        raise argparse.ArgumentTypeError(str(rejected)) from None


def positive_span_argument(text: str) -> int:
    """A time span that is more than nothing. Raises ArgumentTypeError."""
    value = span_argument(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{print_span(value)} is no time to wait; --no-block does not wait")
    return value
