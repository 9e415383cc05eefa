"""A small JSON file of one object with `version`, which one program writes and another reads:
traffic.py and unready.py have two. It is read whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from tqunits.errors import TqunitsError


def versioned(
    text: bytes, file: str, version: int, members: Collection[str], others: Collection[str] = ()
) -> Mapping[str, Any]:
    """The object, which has `version` and these members; it may have the others. Raises
    TqunitsError, with the name of the file."""
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TqunitsError(f"{file}: not JSON: {error}") from None
    if not isinstance(document, dict) or document.keys() - set(others) != {"version", *members}:
        raise TqunitsError(f"{file}: not an object of {', '.join(('version', *members, *others))}")
    if document["version"] != version:
        raise TqunitsError(f"{file}: version {document['version']!r} is not {version}")
    return document
