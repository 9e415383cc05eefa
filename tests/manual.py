"""The files of the man pages, and the examples that they contain, for the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path

SHIPPED = Path(__file__).parent.parent / "packaging/man"
FILES = sorted(path.name for path in SHIPPED.glob("*.[1-8]"))
SOURCES = sorted(SHIPPED.glob("*.in"))
PAGES = [source.stem for source in SOURCES]
"""The pages with text of their own; the other files only refer to one of these."""

PROMPT = "$ "

_EXAMPLE = re.compile(r"^\.EX\n(.*?)^\.EE$", re.MULTILINE | re.DOTALL)
_ESCAPES = {"\\-": "-", "\\(aq": "'", "\\(ga": "`", "\\(ha": "^", "\\(ti": "~", "\\&": "", "\\e": "\\"}
_ESCAPE = re.compile("|".join(map(re.escape, _ESCAPES)))


class Kind(Enum):
    """The kind of an example, by how it begins."""

    SHELL = auto()
    PROGRAM = auto()
    YAML = auto()


@dataclass(frozen=True)
class Example:
    """An example of a page."""

    page: str
    text: str

    @property
    def kind(self) -> Kind:
        begins = {PROMPT: Kind.SHELL, '"""': Kind.PROGRAM}
        return next((kind for start, kind in begins.items() if self.text.startswith(start)), Kind.YAML)

    @property
    def commands(self) -> list[str]:
        """The command lines of an example for the shell; all of it is command lines."""
        lines = self.text.splitlines()
        assert all(line.startswith(PROMPT) for line in lines), self
        return [line.removeprefix(PROMPT) for line in lines]

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def text_of(page: str) -> str:
    """The page as it is shipped."""
    return (SHIPPED / page).read_text(encoding="utf-8")


@cache
def examples() -> tuple[Example, ...]:
    """All examples of all pages, in their order."""
    found = ((page, block) for page in PAGES for block in _EXAMPLE.findall(text_of(page)))
    return tuple(Example(page, _ESCAPE.sub(lambda escape: _ESCAPES[escape[0]], block)) for page, block in found)


def of_kind(kind: Kind) -> list[Example]:
    """The examples of one kind."""
    return [example for example in examples() if example.kind is kind]
