"""What the command line takes, as values: for whoever writes it down in a man page or for a shell.

The verbs' own parsers tell it, so what is written can not drift from the program.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module

from tqunits.cli.main import VERBS


class Kind(StrEnum):
    """What a shell offers for a value."""

    NOTHING = "nothing"
    WORKER = "worker"
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What stands for an option's value or a positional argument: one of `choices`, or something of
    that kind."""

    name: str
    kind: Kind = Kind.NOTHING
    choices: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option under all its spellings."""

    flags: tuple[str, ...]
    help: str
    value: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One verb as its own parser describes it."""

    name: str
    help: str
    options: tuple[Option, ...]
    values: tuple[Value, ...]  # that it takes besides, one after the other


KINDS = {
    "NAME": Kind.WORKER,
    "WORKER": Kind.WORKER,
    "NAME=N": Kind.WORKER,
    "FILE": Kind.FILE,
    "PATH": Kind.FILE,
    "DIR": Kind.FOLDER,
    "FOLDER": Kind.FOLDER,
}
NEW_NAMES = {"init"}  # a worker that is yet to be made: there is nothing to offer

GLOBAL = (
    Option(flags=("-C",), help="use another root folder", value=Value(name="DIR", kind=Kind.FOLDER)),
    Option(flags=("--trust",), help="with -C: take DIR as root's, though others may change it"),
    Option(flags=("--user",), help="your own service manager instead of the system's"),
    Option(flags=("-h", "--help"), help="show help"),
    Option(flags=("--version",), help="print the version"),
)


def commands() -> tuple[Command, ...]:
    """Every verb of the table, with what its parser takes."""
    return tuple(_command(verb.name, verb.help) for group in VERBS for verb in group.verbs)


def typeable() -> tuple[Command, ...]:
    """What may stand in a verb's place on a command line: the verbs, and `help`."""
    verbs = commands()
    names = tuple(command.name for command in verbs)
    return *verbs, Command(name="help", help="explain a verb", options=(), values=(Value(name="VERB", choices=names),))


def _command(name: str, help_line: str) -> Command:
    parser = argparse.ArgumentParser(prog=f"tqunits {name}")
    import_module(f"tqunits.cli.verbs.{name}").configure(parser)
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    options = tuple(_option(action) for action in actions if action.option_strings)
    values = tuple(_value(action) for action in actions if not action.option_strings)
    if name in NEW_NAMES:
        values = tuple(Value(name=value.name) for value in values)
    return Command(name=name, help=help_line, options=options, values=values)


def _option(action: argparse.Action) -> Option:
    text = (action.help or "") % {**vars(action), "prog": "tqunits"}
    return Option(flags=tuple(action.option_strings), help=text, value=None if action.nargs == 0 else _value(action))


def _value(action: argparse.Action) -> Value:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    choices = tuple(str(choice) for choice in action.choices or ())
    return Value(name=name, kind=KINDS.get(name, Kind.NOTHING), choices=choices, many=action.nargs in ("*", "+"))
