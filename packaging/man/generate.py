"""Writes the man pages: the prose of each *.in file, and the reference that the program's own
tables give.

    python packaging/man/generate.py FOLDER

Commands and options come from the verbs' parsers and docstrings, all else from the tables that
packaging/facts.py names: a page can not drift from the program. tests/test_man.py holds the shipped
pages against this. `man tqunits-VERB` finds every verb: where that is no page of its own, a page of
one line leads to the right one.

In a source hyphens and apostrophes stand as they are typed, and what is between .EX and .EE stands
as it is. A line `@NAME@` is replaced by a part of the reference, a word `@timeouts.stop@` by the
default of that setting, `@layout.state@` by that path.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from commands import GLOBAL, Command, commands
from facts import parts, words
from roff import bold, item, line, options, prose, roff, typed

from tqunits.cli.main import VERBS, Group, Verb

HERE = Path(__file__).parent

_WORD = re.compile(r"@([a-z_.]+)@")


def pages() -> Mapping[str, str]:
    """Every page by its file name."""
    common = {"@OPTIONS@": options(GLOBAL), "@GROUPS@": "".join(map(overview, VERBS)), **parts()}
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.in"))}
    made = {name: filled(text, {**common, **of_group(name)}, words()) for name, text in sources.items()}
    return {**aliases(), **made}


def filled(template: str, parts: Mapping[str, str], words: Mapping[str, str]) -> str:
    """The template with its parts and words put in."""
    made, is_example = "", False
    for text in template.splitlines():
        is_example = text == ".EX" or (is_example and text != ".EE")
        if text in parts:
            made += parts[text]
        elif is_example and text != ".EX":
            made += line(_WORD.sub(lambda found: words[found[1]], text))
        else:
            made += _WORD.sub(lambda found: roff(words[found[1]]), typed(text)) + "\n"
    return made


def file_of(page: str) -> str:
    """NAME(SECTION) as a file: NAME.SECTION."""
    return page.replace("(", ".").removesuffix(")")


def aliases() -> Mapping[str, str]:
    """A page for each verb that leads to its group's."""
    named = ((f"tqunits-{verb.name}.{_section(group)}", group) for group in VERBS for verb in group.verbs)
    return {name: f".so man{_section(group)}/{file_of(group.page)}\n" for name, group in named}


def _section(group: Group) -> str:
    return file_of(group.page)[-1]


def overview(group: Group) -> str:
    """A group in the page that tells of all of them: its page, and a line for each verb."""
    name, section = file_of(group.page).rsplit(".", 1)
    see = "" if name == "tqunits" else f".BR {roff(name)} ({section})\n"
    return f".SS {roff(group.title)}\n{see}" + "".join(item(verb.name, verb.help) for verb in group.verbs)


def of_group(file: str) -> Mapping[str, str]:
    """The synopsis and the reference of the verbs that a page is about."""
    described = {command.name: command for command in commands()}
    verbs = [verb for group in VERBS if file_of(group.page) == file for verb in group.verbs]
    return {
        "@SYNOPSIS@": "\n.br\n".join(f"\\fBtqunits\\fR {synopsis(described[verb.name])}" for verb in verbs) + "\n",
        "@VERBS@": "".join(reference(verb, described[verb.name]) for verb in verbs),
    }


def reference(verb: Verb, command: Command) -> str:
    """One verb: its synopsis, its docstring, its options."""
    module = import_module(f"tqunits.cli.verbs.{verb.name}")
    own = [option for option in command.options if "--help" not in option.flags]
    text = prose(module.__doc__ or verb.help)
    return f".TP\n{synopsis(command)}\n{text}" + (f".RS\n{options(own)}.RE\n" if own else "")


def synopsis(command: Command) -> str:
    """The verb, and what may stand behind it."""
    parser = argparse.ArgumentParser(prog=command.name, add_help=False)
    import_module(f"tqunits.cli.verbs.{command.name}").configure(parser)
    has_options = len(command.options) > 1  # than --help
    return " ".join([bold(command.name), *(["[\\fIoptions\\fR]"] if has_options else []), *positionals(parser)])


def positionals(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The positional arguments as a synopsis shows them."""
    forms = {"?": "[{}]", "*": "[{}...]", "+": "{}..."}
    for action in parser._actions:
        if not action.option_strings:
            choices = "|".join(bold(str(choice)) for choice in action.choices or ())
            name = action.metavar if isinstance(action.metavar, str) else action.dest
            yield forms.get(str(action.nargs), "{}").format(choices or f"\\fI{roff(name)}\\fR")


if __name__ == "__main__":
    for file, content in pages().items():
        (Path(sys.argv[1]) / file).write_text(content, encoding="utf-8")
