"""Which instances get no traffic because their health checks fail:
/run/tqunits/readiness/unready.json, version 1.

    {"version": 1, "unready": {"api:2": 1790000000000000}}

The manager writes it, and the routers read it. An instance is named as its unit: `api` is the
first, `api:2` the second. With each stands when it was taken out (µs since 1970): one whose file
`serving` is newer was started since, and gets traffic again although the manager has not seen it
yet. No file, or one that does not read: all instances that serve get traffic.

What administrators have ordered stands in another file (traffic.py), because each file has one
writer: the command line writes as root, and the manager as a user of its own, who may not write
where root does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.routing.versioned import versioned

VERSION: Final = 1
MAX_UNREADY: Final = 1024 * 1024
"""Ten thousand names with room."""

Unready = Mapping[str, int]
"""Instance -> when it was taken out of the traffic, in µs since 1970."""

NOBODY: Final[Unready] = MappingProxyType({})

_FILE: Final = SYSTEM_LAYOUT.unready.name


def parse_unready(text: bytes) -> Unready:
    """Read it. Raises TqunitsError: all of it or nothing."""
    unready = versioned(text, _FILE, VERSION, ["unready"])["unready"]
    if not isinstance(unready, dict) or not all(type(time) is int for time in unready.values()):
        raise TqunitsError(f"{_FILE}: unready is not an object of times")
    return unready


def unready_text(unready: Unready) -> str:
    """The text of the file."""
    return json.dumps({"version": VERSION, "unready": dict(unready)}, sort_keys=True) + "\n"
