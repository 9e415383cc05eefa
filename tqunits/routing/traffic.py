"""Who gets no traffic now, though the routes have him: /run/tqunits/traffic.json, version 1.

    {"version": 1, "stopped": {"api": 1790000000000000}}

The command line writes it, and the routers read it. `stopped`: by an administrator with `tqunits stop`, and when (µs
since 1970), so that nobody waits for it. A worker whose file `serving` is newer was started since, with systemctl.
No file, or one that does not read: nobody is stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tqunits.errors import TqunitsError

VERSION: Final = 1
FILE: Final = "traffic.json"
MAX_TRAFFIC: Final = 1024 * 1024
"""Ten thousand names with room."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the file says."""

    stopped: Mapping[str, int] = field(default_factory=dict)  # when, in µs since 1970


EVERYBODY: Final = Traffic()
"""All workers of the routes get traffic."""


def parse_traffic(text: bytes) -> Traffic:
    """Read it. Raises TqunitsError: all of it or nothing."""
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TqunitsError(f"{FILE}: not JSON: {error}") from None
    if not isinstance(document, dict) or document.keys() != {"version", "stopped"}:
        raise TqunitsError(f"{FILE}: not an object of version and stopped")
    if document["version"] != VERSION:
        raise TqunitsError(f"{FILE}: version {document['version']!r} is not {VERSION}")
    stopped = document["stopped"]
    if not isinstance(stopped, dict) or not all(type(time) is int for time in stopped.values()):
        raise TqunitsError(f"{FILE}: stopped is not an object of times")
    return Traffic(stopped)


def traffic_text(stopped: Mapping[str, int]) -> str:
    """The file for these workers, and when they were stopped."""
    return json.dumps({"version": VERSION, "stopped": stopped}, sort_keys=True) + "\n"
