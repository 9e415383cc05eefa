"""Text as man(7) has it: what is escaped, paragraphs, lists, examples.

groff and mandoc both know these macros. A hyphen is written so that whoever copies it types a
hyphen, and an apostrophe so that it stays one (groff_char(7)).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import dedent

from commands import Option

ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}

_BARE = re.compile(r"(?<!\\)-|'")
"""What a source of a page may write as it is typed."""


def roff(text: str) -> str:
    """Text with roff's own characters escaped."""
    for plain, escaped in ESCAPES.items():
        text = text.replace(plain, escaped)
    return text


def line(text: str) -> str:
    """A line of text; no text begins a request."""
    return f"\\&{roff(text)}\n" if text.startswith((".", "'")) else f"{roff(text)}\n"


def typed(text: str) -> str:
    """A line of a source, which has requests and fonts of its own, with hyphens and apostrophes
    escaped."""
    return text if text.startswith('.\\"') else _BARE.sub(lambda found: ESCAPES[found[0]], text)


def bold(word: str) -> str:
    """A word as it is typed."""
    return f"\\fB{roff(word)}\\fR"


def sentence(text: str) -> str:
    """A help text as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', ')')) else '.'}" if text else ""


def item(head: str, text: str) -> str:
    """An entry of a list: a word, bold, and what is to be said of it."""
    return f".TP\n{bold(head)}\n{line(sentence(text))}"


def example(text: str) -> str:
    """Lines that stand as they are typed."""
    return ".EX\n" + "".join(map(line, text.splitlines())) + ".EE\n"


def prose(text: str) -> str:
    """A docstring: paragraphs are filled, indented blocks are examples."""
    return ".IP\n".join(_blocks(text))


def _blocks(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        is_example = all(each.startswith("  ") for each in lines)
        yield example(dedent(block)) if is_example else "".join(line(each.strip()) for each in lines)


def options(table: Iterable[Option]) -> str:
    """A list of options."""
    return "".join(f".TP\n{_flags(option)}\n{line(sentence(option.help))}" for option in table)


def _flags(option: Option) -> str:
    value = ""
    if option.value:
        value = " \\fI" + roff("|".join(option.value.choices) or option.value.name) + "\\fR"
    return ", ".join(f"\\fB{roff(flag)}\\fR{value}" for flag in option.flags)
