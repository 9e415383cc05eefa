"""Which program a command runs, and which runtime that is. Only names are looked at; no file is
opened.

`env` (env(1)) in front is skipped: it becomes the program that it is given. Nothing else is
skipped: what a shell or another wrapper runs is not known. The whole name must match, except for a
version at its end: php8.2 is PHP; php-fpm8.2 is not, and node-exporter is not Node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass
from tqunits.model import WorkerType

_PYTHON = (
    *("python", "pypy", "gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve"),
    *("flask", "fastapi", "django-admin", "uv", "poetry", "pipenv"),
)
_RUBY = ("ruby", "bundle", "bundler", "rails", "rake", "rackup", "puma", "unicorn", "thin", "falcon")

_RUNTIMES: Mapping[str, WorkerType] = {
    **dict.fromkeys(_PYTHON, WorkerType.PYTHON),
    **dict.fromkeys(("node", "nodejs", "npm", "npx", "yarn", "pnpm"), WorkerType.NODE),
    **dict.fromkeys(("bun", "bunx"), WorkerType.BUN),
    **dict.fromkeys(_RUBY, WorkerType.RUBY),
    "deno": WorkerType.DENO,
    "java": WorkerType.JAVA,
    "php": WorkerType.PHP,
}

MAX_ARGUMENTS = 16
"""Arguments that `own_files` looks at: a script is among the first."""

_NAME = late_pattern(r"([a-z][a-z-]*[a-z])(?:\d+(?:\.\d+)*)?")
_SCRIPTS_OF_NODE = "node_modules/.bin/"

_ENV = "env"
_ENV_TAKES_ANOTHER = frozenset(("-u", "--unset", "-C", "--chdir"))
_ENV_SPLITS = ("-S", "--split-string", "-vS")


@dataclass(frozen=True, slots=True)
class Program:
    """The program of a command."""

    at: int  # its index in the command
    name: str  # without the folder and the version


def program(command: Sequence[str]) -> Program | None:
    """The program that a command runs, if its name looks like one; otherwise None, also for an
    empty command."""
    at = _behind_env(command) if command and _last(command[0]) == _ENV else 0
    if at >= len(command):
        return None
    if _SCRIPTS_OF_NODE in command[at]:  # npm's own scripts all begin with #!/usr/bin/env node
        return Program(at, "node")
    found = _NAME.fullmatch(_last(command[at]))
    return Program(at, found[1]) if found else None


def runtime(command: Sequence[str]) -> WorkerType:
    """The type of the program's runtime; EXEC when it is unknown."""
    found = program(command)
    return _RUNTIMES.get(found.name, WorkerType.EXEC) if found is not None else WorkerType.EXEC


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _behind_env(command: Sequence[str]) -> int:
    """The index of the program after `env`; the length of the command when it can not be found."""
    at = 1
    while at < len(command) and (command[at].startswith("-") or "=" in command[at]):
        if command[at].startswith(_ENV_SPLITS):
            return len(command)
        at += 2 if command[at] in _ENV_TAKES_ANOTHER else 1
    return at


def own_files(command: Sequence[str]) -> tuple[str, ...]:
    """The words of a command that may be the file with the worker's code, the likeliest first: of a
    runtime its arguments, then the program itself."""
    found = program(command)
    at = found.at if found is not None else 0
    if runtime(command) is WorkerType.EXEC:
        return tuple(command[at : at + 1])
    arguments = (word for word in command[at + 1 :] if not word.startswith("-"))
    return (*islice(arguments, MAX_ARGUMENTS), command[at])
