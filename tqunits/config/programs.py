"""Which program a command is, and whose runtime that has: by its name alone, wherever it lies.
Nothing is opened.

What stands before it is looked through for `env` (env(1)), which becomes the program that it is
given. Nothing else is: what a shell or another wrapper runs is its own business. A name has to be
the whole one, but for a version behind it: php8.2 is PHP, php-fpm8.2 is not, and neither is
node-exporter Node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

_NAME = re.compile(r"([a-z][a-z-]*[a-z])(?:\d+(?:\.\d+)*)?")
_SCRIPTS_OF_NODE = "node_modules/.bin/"

_ENV = "env"
_ENV_TAKES_ANOTHER = frozenset(("-u", "--unset", "-C", "--chdir"))
_ENV_SPLITS = ("-S", "--split-string", "-vS")


@dataclass(frozen=True, slots=True)
class Program:
    """The program of a command."""

    at: int  # which of the command's words
    name: str  # without its folder and its version


def program(command: Sequence[str]) -> Program | None:
    """The program that a command comes to, when its name looks like one; None for no command,
    too."""
    at = _behind_env(command) if command and _last(command[0]) == _ENV else 0
    if at >= len(command):
        return None
    if _SCRIPTS_OF_NODE in command[at]:  # npm's own: each begins with #!/usr/bin/env node
        return Program(at, "node")
    found = _NAME.fullmatch(_last(command[at]))
    return Program(at, found[1]) if found else None


def runtime(command: Sequence[str]) -> WorkerType:
    """The type of the program's runtime; EXEC where it tells of none."""
    found = program(command)
    return _RUNTIMES.get(found.name, WorkerType.EXEC) if found is not None else WorkerType.EXEC


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _behind_env(command: Sequence[str]) -> int:
    """Where the program stands behind `env`; the length where that can not be told."""
    at = 1
    while at < len(command) and (command[at].startswith("-") or "=" in command[at]):
        if command[at].startswith(_ENV_SPLITS):
            return len(command)
        at += 2 if command[at] in _ENV_TAKES_ANOTHER else 1
    return at
