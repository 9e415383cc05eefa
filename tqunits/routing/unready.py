"""What the manager knows of the traffic: /run/tqunits/readiness/unready.json, version 1.

    {"version": 1, "unready": {"api:2": 1790000000000000}, "stopped": {"web": 1790000000000000}}

The manager writes it, and the routers read it. `unready`: instances that get no traffic because
their health checks fail, or because they are about to be replaced. `stopped`: instances that an
operator has stopped: nobody waits for a worker all of whose instances are; missing where there are
none. An instance is named as its unit: `api` is the first, `api:2` the second. With each stands
since when (µs since 1970): one whose file `serving` is newer was started since, and gets traffic
again although the manager has not seen it yet. No file, or one that does not read: all instances
that serve get traffic.

What administrators have ordered stands in another file (traffic.py), because each file has one
writer: the command line writes as root, and the manager as a user of its own, who may not write
where root does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.light_dataclass import dataclass
from tqunits.routing.versioned import versioned

VERSION: Final = 1
MAX_UNREADY: Final = 1024 * 1024
"""Ten thousand names with room."""

Times = Mapping[str, int]
"""Instance -> since when, in µs since 1970."""


@dataclass(frozen=True, slots=True)
class Unready:
    """The content of the file."""

    failing: Times = field(default_factory=dict)
    stopped: Times = field(default_factory=dict)


NOBODY: Final = Unready()

_FILE: Final = SYSTEM_LAYOUT.unready.name


def parse_unready(text: bytes) -> Unready:
    """Read it. Raises TqunitsError: all of it or nothing."""
    document = versioned(text, _FILE, VERSION, ["unready"], ["stopped"])
    return Unready(_times("unready", document["unready"]), _times("stopped", document.get("stopped", {})))


def unready_text(unready: Unready) -> str:
    """The text of the file."""
    document: dict[str, object] = {"version": VERSION, "unready": dict(unready.failing)}
    if unready.stopped:
        document["stopped"] = dict(unready.stopped)
    return json.dumps(document, sort_keys=True) + "\n"


def _times(key: str, value: object) -> Times:
    if not isinstance(value, dict) or not all(type(time) is int for time in value.values()):
        raise TqunitsError(f"{_FILE}: {key} is not an object of times")
    return value
