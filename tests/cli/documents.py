"""What the man pages document of the JSON documents."""

from __future__ import annotations

import re

from manual import SOURCES

PAGE = "".join(source.read_text(encoding="utf-8") for source in SOURCES)


def members(value: object) -> set[str]:
    """The names of all members, without names that the user has chosen (a type's preset)."""
    match value:
        case dict():
            named = {key: each for key, each in value.items() if key != "presets"}
            return {*value, *(name for each in named.values() for name in members(each))}
        case list():
            return {name for each in value for name in members(each)}
        case _:
            return set()


def documented(verb: str) -> set[str]:
    """The names in italics in the paragraph about this document."""
    paragraph = re.split(r"\n\.(?:TP|PP|SH)\b", PAGE.partition(f"\n.TP\n.B tqunits.{verb}\n")[2])[0]
    return set(re.findall(r"\\fI(\w+)\\fR", paragraph))
