r"""`${NAME}` in a worker's `command` and `environment`: which names there are, and what a text with
them means.

    ${NAME}    is put in when the unit is written, in quotes or not: there is no shell. Only the
               names below.
    $${NAME}   the characters themselves. A dollar sign is doubled where one alone would be taken
               for a variable.

In a command `$NAME` and `$(` are mistakes, and so `$$NAME` and `$$(` say them; in an environment
value any other dollar sign is only itself, for passwords are full of them. A script for a shell is
left to the shell, which finds the same variables in its environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

ALWAYS = (
    "WORKER_NAME",
    "WORKER_ROUTE",
    "WORKER_PATH",
    "WORKER_MODE",
    "WORKER_TYPE",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "RUNTIME_DIRECTORY",
)
WITH_PORT = ("WORKER_PORT", "PORT")
WITH_SOCKET = ("WORKER_SOCKET",)
WITH_CREDENTIALS = ("CREDENTIALS_DIRECTORY",)
NAMES = frozenset((*ALWAYS, *WITH_PORT, *WITH_SOCKET, *WITH_CREDENTIALS))
"""Every variable that tqunits or systemd sets for a worker, and whose value is known beforehand."""

SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"))

LONGEST_VALUE = 1024
"""Characters: the values are short words and paths."""

_KNOWN = "|".join(sorted(NAMES))
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_IN_COMMAND = re.compile(
    rf"(?P<escape>\$\$(?=[A-Za-z_{{(]))|\$\{{(?P<named>[^}}]*)\}}|\$(?P<bare>{_NAME})|(?P<shell>\$[({{])"
)
_IN_VALUE = re.compile(
    rf"(?P<escape>\$\$(?=\{{|(?:{_KNOWN})\b))|\$\{{(?P<named>[^}}]*)\}}|\$(?P<bare>(?:{_KNOWN})\b)|(?P<shell>\$\{{)"
)
_BEFORE_A_NAME = re.compile(r"\$(?=[A-Za-z_{(])")
_SHELL_OPTIONS = re.compile(r"[-+][A-Za-z]+|--[a-z-]+")
_OF_SHELL = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class PlaceholderKind(Enum):
    """What looks like a variable."""

    NAMED = auto()  # ${NAME}
    BARE = auto()  # $NAME
    SHELL = auto()  # $(, or ${ that is not closed


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a text that is, or looks like, a placeholder."""

    at: int
    kind: PlaceholderKind
    text: str  # as it stands there
    name: str


def in_word(word: str) -> Iterator[Found]:
    """What looks like a variable in a word of a command."""
    return _found(_IN_COMMAND, word)


def in_value(value: str) -> Iterator[Found]:
    """What looks like a variable in the value of an environment variable."""
    return _found(_IN_VALUE, value)


def in_script(script: str) -> Iterator[Found]:
    """Our variables in a script of a shell, as $NAME or ${NAME}."""
    for match in _OF_SHELL.finditer(script):
        name = match[1] or match[2]
        if name in NAMES:
            yield Found(match.start(), PlaceholderKind.NAMED, match[0], name)


def script_at(words: Sequence[str]) -> int | None:
    """Which word of a command is a script for a shell: what stands behind `sh -c`, whatever comes
    before."""
    for at, word in enumerate(words[:-2]):
        if word.rpartition("/")[2] in SHELLS:
            return _script_after(words, at + 1)
    return None


def escaped(word: str) -> str:
    """A word that says these characters themselves in a command."""
    return _BEFORE_A_NAME.sub("$$", word)


def command_filled(words: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """A command's words with their placeholders put in. Raises KeyError for a name without a
    value."""
    script = script_at(words)
    return tuple(word if at == script else _filled(_IN_COMMAND, word, values) for at, word in enumerate(words))


def value_filled(value: str, values: Mapping[str, str]) -> str:
    """The same of an environment variable's value."""
    return _filled(_IN_VALUE, value, values)


def constant(environment: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The variables whose values have no placeholder in them: what they say holds without a running
    worker, too."""
    for name, value in environment:
        if not any(found.kind is PlaceholderKind.NAMED and found.name in NAMES for found in in_value(value)):
            yield name, value_filled(value, {})


def _script_after(words: Sequence[str], at: int) -> int | None:
    while at < len(words) and _SHELL_OPTIONS.fullmatch(words[at]):
        option = words[at]
        if not option.startswith("--") and "c" in option:
            return at + 1 if at + 1 < len(words) else None
        at += 2 if not option.startswith("--") and option.endswith("o") else 1  # -o pipefail
    return None


def _found(pattern: re.Pattern[str], text: str) -> Iterator[Found]:
    for match in pattern.finditer(text) if "$" in text else ():
        if match["named"] is not None:
            yield Found(match.start(), PlaceholderKind.NAMED, match[0], match["named"])
        elif match["bare"] is not None:
            yield Found(match.start(), PlaceholderKind.BARE, match[0], match["bare"])
        elif match["shell"] is not None:
            yield Found(match.start(), PlaceholderKind.SHELL, match[0], "")


def _filled(pattern: re.Pattern[str], text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["escape"] is not None:
            return "$"
        return values[match["named"]] if match["named"] in NAMES else match[0]

    return pattern.sub(value, text) if "$" in text else text
