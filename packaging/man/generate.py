"""Writes the man pages: the prose of each *.in file, and the reference that the program's own
tables give.

    python packaging/man/generate.py FOLDER

Commands and options come from the verbs' parsers and docstrings, settings from
`config/settings.py`: a page can not drift from the program. tests/test_man.py holds the shipped
pages against this. The macros are man(7)'s, which groff and mandoc both know.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from commands import GLOBAL, Option, commands

from tqunits.cli.main import VERBS, Verb
from tqunits.config.presets import BY_FILE, BY_PROGRAM, PRESETS
from tqunits.config.setting import Setting
from tqunits.config.settings import GROUPS, SERVER, WORKER
from tqunits.model import WorkerType

HERE = Path(__file__).parent


def pages() -> Mapping[str, str]:
    """Every page by its file name."""
    parts = {
        "@OPTIONS@": options(GLOBAL),
        "@COMMANDS@": verbs(),
        "@WORKER@": settings(WORKER.values()),
        "@SERVER@": settings(SERVER.values()),
        "@PRESETS@": presets(),
    }
    return {path.stem: filled(path.read_text(encoding="utf-8"), parts) for path in sorted(HERE.glob("*.in"))}


def filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with each line that is a part's name replaced by the part."""
    return "".join(parts.get(line.strip(), line) for line in template.splitlines(keepends=True))


def verbs() -> str:
    """The reference of all verbs, in the order of `tqunits --help`."""
    described = {command.name: command for command in commands()}
    return "".join(
        f".SS {roff(title)}\n" + "".join(verb(each, described[each.name].options) for each in group)
        for title, group in VERBS
    )


def verb(each: Verb, declared: Iterable[Option]) -> str:
    """One verb: its synopsis, its docstring, its options."""
    module = import_module(f"tqunits.cli.verbs.{each.name}")
    parser = argparse.ArgumentParser(prog=each.name, add_help=False)
    module.configure(parser)
    arguments = " ".join(positionals(parser))
    own = [option for option in declared if "--help" not in option.flags]
    words = (
        f"\\fB{roff(each.name)}\\fR" + (" [\\fIoptions\\fR]" if own else "") + (f" {arguments}" if arguments else "")
    )
    text = prose(module.__doc__ or each.help)
    return f".TP\n{words}\n{text}" + (f".RS\n{options(own)}.RE\n" if own else "")


def positionals(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The positional arguments as a synopsis shows them."""
    forms = {"?": "[{}]", "*": "[{}...]", "+": "{}..."}
    for action in parser._actions:
        if not action.option_strings:
            choices = "|".join(f"\\fB{roff(str(choice))}\\fR" for choice in action.choices or ())
            name = action.metavar if isinstance(action.metavar, str) else action.dest
            yield forms.get(str(action.nargs), "{}").format(choices or f"\\fI{roff(name)}\\fR")


def options(table: Iterable[Option]) -> str:
    """A list of options."""
    return "".join(f".TP\n{_flags(option)}\n{roff_line(sentence(option.help))}" for option in table)


def settings(rows: Iterable[Setting[object]]) -> str:
    """The reference of settings, group by group."""
    text, group = "", ""
    for row in rows:
        if row.group != group:
            group = row.group
            text += f".SS {roff(group)}:\n{roff_line(sentence(GROUPS.get(group, '')))}"
        text += setting(row)
    return text


def setting(row: Setting[object]) -> str:
    """One setting: what it takes, its default, what it is for, the directive it decides."""
    default = "must be written" if row.default is None else f"default: {row.default}"
    facts = [f"Feeds {row.feeds}."] if row.feeds else []
    facts += [] if row.in_effect else ["Read and checked, but not in effect yet."]
    facts += [] if row.for_all or row.key not in WORKER else ["Not allowed in the defaults of tqunits.yaml."]
    head = f".TP\n\\fB{roff(row.key)}\\fR: {roff(row.takes)} ({roff(default)})\n"
    return head + roff_line(" ".join([row.doc, *facts]))


def presets() -> str:
    """What each type presets, and each program."""
    types = "".join(f".TP\n\\fB{roff(kind)}\\fR\n{roff_line(preset(kind))}" for kind in PRESETS)
    by_rows: dict[str, list[str]] = {}
    for program, rows in BY_PROGRAM.items():
        by_rows.setdefault(listed(rows), []).append(program)
    programs = "".join(f".TP\n{', '.join(map(bold, names))}\n{roff_line(rows)}" for rows, names in by_rows.items())
    return f"{types}.PP\nWhat the program of a command presets, where no type is written:\n{programs}"


def bold(word: str) -> str:
    """A word as it is typed."""
    return f"\\fB{roff(word)}\\fR"


def preset(kind: WorkerType) -> str:
    """What a type presets, in words."""
    file, rows = BY_FILE.get(kind, ("", {}))
    with_file = f"with {file} {listed(rows)}" if rows else ""
    return "; ".join(filter(None, (listed(PRESETS[kind]), with_file))) or "nothing"


def listed(rows: Mapping[str, str]) -> str:
    """Settings and their values."""
    return ", ".join(f"{key}: {value}" for key, value in rows.items())


def prose(text: str) -> str:
    """A docstring: paragraphs are filled, indented blocks stand as they are."""
    out = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if all(line.startswith("  ") for line in lines):
            out.append(".nf\n" + "".join(roff_line(line) for line in lines) + ".fi\n")
        else:
            out.append("".join(roff_line(line.strip()) for line in lines))
    return ".IP\n".join(out)


def sentence(text: str) -> str:
    """A help text as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', ')')) else '.'}" if text else ""


def roff_line(text: str) -> str:
    """A line of text; no text begins a request."""
    return f"\\&{roff(text)}\n" if text.startswith((".", "'")) else f"{roff(text)}\n"


def roff(text: str) -> str:
    """Text with roff's own characters escaped (groff_char(7)); a hyphen is typed again by whoever
    copies it."""
    for plain, escaped in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(plain, escaped)
    return text


def _flags(option: Option) -> str:
    value = ""
    if option.value:
        value = " \\fI" + roff("|".join(option.value.choices) or option.value.name) + "\\fR"
    return ", ".join(f"\\fB{roff(flag)}\\fR{value}" for flag in option.flags)


if __name__ == "__main__":
    for file, content in pages().items():
        (Path(sys.argv[1]) / file).write_text(content, encoding="utf-8")
