"""The requests and answers at the manager's control socket, version 1. No other module has their
paths and sizes.

    GET /version                         its release and its state; for everybody
    GET /instances                       what the registry knows of each instance
    GET /events?after=12&wait_us=5000000 the changes after number 12; with none, it waits for one

The wait for a change ends early, with none, when other workers are installed than before. Numbers
count from the manager's start, which an answer has as `since_us`: another start is another count.

All but the first are for root and for the manager's own user. Every answer is one JSON object with
`version`, as those of the routers (protocol.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from tqunits.control.protocol import LONGEST_WAIT_US, Problem

RELEASE: Final = "/version"
INSTANCES: Final = "/instances"
EVENTS: Final = "/events"
OFFER: Final = "there are GET /version, /instances and /events?after=N&wait_us=N"

_EVENTS: Final = re.compile(r"/events(?:\?after=([0-9]{1,18})(?:&wait_us=([0-9]{1,12}))?)?")


def events_target(after: int, wait_us: int) -> str:
    """The target of a question for changes."""
    return f"{EVENTS}?after={after}&wait_us={wait_us}"


def events_question(target: str) -> tuple[int, int]:
    """The number and the wait, in µs, of such a target. Raises Problem."""
    match = _EVENTS.fullmatch(target)
    if match is None:
        raise Problem(404, OFFER)
    return int(match[1] or 0), min(int(match[2] or 0), LONGEST_WAIT_US)


def document(answer: bytes) -> Mapping[str, object] | None:
    """An answer, parsed; None when it is not a JSON object."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def members(found: Mapping[str, object], key: str) -> list[Mapping[str, object]] | None:
    """The objects under a key of a document; None when it has none."""
    rows = found.get(key)
    return rows if isinstance(rows, list) and all(isinstance(each, dict) for each in rows) else None
