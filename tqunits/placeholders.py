r"""`${NAME}` in a worker's `command` and `environment`: the names that exist, and the grammar.

    ${NAME}    is put in when the unit is written, in quotes or not: there is no shell. Only the
               names below.
    $${NAME}   the characters themselves. A dollar sign is doubled where one alone would be taken
               for a variable.

In a command `$NAME` and `$(` are errors; `$$NAME` and `$$(` mean those characters. In an
environment value every other dollar sign stands for itself, because passwords often contain one. A
shell script stays as it is: the shell finds the same variables in its environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

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
OF_A_PROCESS = frozenset((*WITH_PORT, *WITH_SOCKET, "RUNTIME_DIRECTORY"))
"""Those that belong to one process of the worker: nothing that runs beside it has them."""
NAMES = frozenset((*ALWAYS, *WITH_PORT, *WITH_SOCKET, *WITH_CREDENTIALS))
"""Every variable that tqunits or systemd sets for a worker and whose value is known when the unit
is written."""

SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"))

LONGEST_VALUE = 1024
"""The longest value of a placeholder, in characters: values are short words and paths."""

_KNOWN = "|".join(sorted(NAMES))
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_IN_COMMAND = late_pattern(
    rf"(?P<escape>\$\$(?=[A-Za-z_{{(]))|\$\{{(?P<named>[^}}]*)\}}|\$(?P<bare>{_NAME})|(?P<shell>\$[({{])"
)
_IN_VALUE = late_pattern(
    rf"(?P<escape>\$\$(?=\{{|(?:{_KNOWN})\b))|\$\{{(?P<named>[^}}]*)\}}|\$(?P<bare>(?:{_KNOWN})\b)|(?P<shell>\$\{{)"
)
_BEFORE_A_NAME = late_pattern(r"\$(?=[A-Za-z_{(])")
_SHELL_OPTIONS = late_pattern(r"[-+][A-Za-z]+|--[a-z-]+")
_OF_SHELL = late_pattern(r"\$(?:\{(\w+)\}|(\w+))")


class PlaceholderKind(Enum):
    """The form of what looks like a variable."""

    NAMED = auto()  # ${NAME}
    BARE = auto()  # $NAME
    SHELL = auto()  # $(, or ${ that is not closed


@dataclass(frozen=True, slots=True)
class Found:
    """A placeholder in a text, or something that looks like one."""

    at: int
    kind: PlaceholderKind
    text: str  # as it is written
    name: str


def in_word(word: str) -> Iterator[Found]:
    """Everything in a word of a command that looks like a variable."""
    return _found(_IN_COMMAND, word)


def in_value(value: str) -> Iterator[Found]:
    """Everything in the value of an environment variable that looks like a variable."""
    return _found(_IN_VALUE, value)


def in_script(script: str) -> Iterator[Found]:
    """Our variables in a shell script, as $NAME or ${NAME}."""
    for match in _OF_SHELL.finditer(script):
        name = match[1] or match[2]
        if name in NAMES:
            yield Found(match.start(), PlaceholderKind.NAMED, match[0], name)


def script_at(words: Sequence[str]) -> int | None:
    """The index of the word that is a shell script: the word after `sh -c`, whatever stands before
    `sh`. None when there is none."""
    for at, word in enumerate(words[:-2]):
        if word.rpartition("/")[2] in SHELLS:
            return _script_after(words, at + 1)
    return None


def escaped(word: str) -> str:
    """The word of a command that means exactly these characters."""
    return _BEFORE_A_NAME.sub("$$", word)


def command_filled(words: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The words of a command, with values in place of the placeholders. Raises KeyError for a name
    without a value."""
    script = script_at(words)
    return tuple(word if at == script else _filled(_IN_COMMAND, word, values) for at, word in enumerate(words))


def value_filled(value: str, values: Mapping[str, str]) -> str:
    """The value of an environment variable, with values in place of the placeholders. Raises
    KeyError for a name without a value."""
    return _filled(_IN_VALUE, value, values)


def constant(environment: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The variables whose values have no placeholder. Such a value is known without a running
    worker."""
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
