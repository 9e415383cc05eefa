r"""One pattern of a .gitignore as a test of paths (gitignore(5), PATTERN FORMAT).

A pattern is compared name by name. `*`, `?`, `[a-z]`, `[!a]`, `[^a]`, `[[:alpha:]]` and `\x` stand
for parts of one name, and `**` for any number of folders. What git's own wildmatch.c does in cases
that the page leaves open counts, too: `[]a]` has a `]`, and a class without an end matches nothing.
Unlike there, `?` is a character, and not a byte.

Patterns and names are a stranger's. So nothing here may take more than (length of the pattern) x
(length of the path): a backtracking expression such as `.*a.*a.*a.*a.*ab` takes a minute for a name
of 255 characters. A name is matched as by `fnmatch.translate` of the standard library: each part
between two stars takes the first place where it fits, in an atomic group, for no later place can be
better. (That function itself knows no escapes, and takes a class without an end for text.) Folders
are matched in the same way, by a loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tqunits.late_pattern import late_pattern


class Wildcard(NamedTuple):
    """A name with characters that stand for others."""

    ending: str | None  # it is a star and this text; None: it is something else
    expression: str  # of a whole name, for re.DOTALL
    fits: Callable[[str], object]  # whether a name fits


Segment = str | Wildcard | None
"""What one name must be. None: `**`, any number of names, also none; it is never the last one."""

_ITEM: Final = late_pattern(
    r"\[:(?P<named>[^\]]*):\]"  # [:alpha:]
    r"|(?:\\(?P<escaped_low>.)|(?P<low>[^\\]))(?:-(?:\\(?P<escaped_high>.)|(?P<high>[^\]\\])))?",  # a, a-z
    re.DOTALL,
)
"""The next member of a character class."""

_NAMED: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\ \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""The classes of POSIX, in ASCII as in git."""


class _Token(NamedTuple):
    """A part of a pattern that stands for one character; a star for any number of them."""

    literal: str  # the character; empty: it stands for several
    expression: str


_STAR: Final = _Token("", ".*")
_ANY: Final = _Token("", ".")
_SLASH: Final = _Token("/", "/")


def parse(text: str, *, is_path: bool) -> tuple[Segment, ...] | None:
    """The names that a path must have. None: no path can fit. `is_path`: it stands for a path, also
    without a slash; else it is one name, where `**` is `*`."""
    tokens = _tokens(text)
    if tokens is None:
        return None
    segments = [_segment(name, is_path=is_path) for name in _split(tokens, _SLASH)]
    if "" in segments:
        return None
    if segments[-1] is None:  # "a/**" is everything in a, but not a
        segments.append(_wildcard([_STAR]))
    return tuple(segments)


def fits(segments: Sequence[Segment], names: Sequence[str]) -> bool:
    """Whether a path fits. A `**` takes as few names as the next part needs."""
    at = here = 0
    star, taken = -1, 0  # the last `**`, and where the rest after it was tried last
    while here < len(names):
        segment = segments[at] if at < len(segments) else ""
        if segment is None:
            star, taken = at, here
            at += 1
        elif (segment == names[here]) if isinstance(segment, str) else segment.fits(names[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            taken += 1
            at, here = star + 1, taken
        else:
            return False
    return at == len(segments)


def _tokens(text: str) -> list[_Token] | None:
    """None: a class has no end, or the last character escapes nothing."""
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at] == "[":
            found = _class(text, at + 1)
            if found is None:
                return None
            expression, at = found
            tokens.append(_Token("", expression))
            continue
        is_escaped = text[at] == "\\"
        at += is_escaped
        if at == len(text):
            return None
        tokens.append(_token(text[at], is_escaped=is_escaped))
        at += 1
    return tokens


def _token(character: str, *, is_escaped: bool) -> _Token:
    if character == "/":
        return _SLASH
    if not is_escaped and character in "*?":
        return _STAR if character == "*" else _ANY
    return _Token(character, re.escape(character))


def _class(text: str, at: int) -> tuple[str, int] | None:
    """The expression of a character class whose `[` is before `at`, and where it ends."""
    sign = "^" if text[at : at + 1] in ("!", "^") else ""
    at += len(sign)
    members: list[str] = []
    while not members or text[at : at + 1] != "]":  # a `]` at its beginning is a member
        item = _ITEM.match(text, at)
        found = None if item is None else _members(item)
        if item is None or found is None:
            return None
        members.append(found)
        at = item.end()
    return f"[{sign}{''.join(members)}]", at + 1


def _members(item: re.Match[str]) -> str | None:
    """None: a class of POSIX that there is not."""
    if item["named"] is not None:
        return _NAMED.get(item["named"])
    low, high = item["escaped_low"] or item["low"] or "", item["escaped_high"] or item["high"] or ""
    return f"{re.escape(low)}-{re.escape(high)}" if low <= high else re.escape(low)


def _segment(tokens: Sequence[_Token], *, is_path: bool) -> Segment:
    if is_path and len(tokens) > 1 and all(token is _STAR for token in tokens):
        return None
    if all(token.literal for token in tokens):
        return "".join(token.literal for token in tokens)
    return _wildcard(tokens)


def _wildcard(tokens: Sequence[_Token]) -> Wildcard:
    first, *parts = _split(tokens, _STAR)
    if not first and len(parts) == 1 and all(token.literal for token in parts[0]):
        ending = "".join(token.literal for token in parts[0])
        return Wildcard(ending, f".*{re.escape(ending)}", lambda name: name.endswith(ending))
    fixed = ["".join(token.expression for token in part) for part in parts]
    inner = "".join(f"(?>.*?{part})" for part in fixed[:-1] if part)
    last = f".*{fixed[-1]}" if fixed else ""
    expression = "".join(token.expression for token in first) + inner + last
    return Wildcard(None, expression, late_pattern(expression, re.DOTALL).fullmatch)


def _split(tokens: Sequence[_Token], mark: _Token) -> list[list[_Token]]:
    """The parts between the tokens that are this one."""
    parts: list[list[_Token]] = [[]]
    for token in tokens:
        if token is mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
