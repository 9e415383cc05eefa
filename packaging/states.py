"""The states of an instance as pages show them, from the table in tqunits/lifecycle/state.py: for
tqunits-contract(7) and, with the environment, for docs/lifecycle.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from markdown_table import table
from roff import bold, item, line, sentence

from tqunits.lifecycle.state import TABLE, Detail, Event, State
from tqunits.units.environment import CONTRACT, FOLDERS

_MEMBER = re.compile(r'^    [A-Z_]+ = "(.*)"  # (.*)$', re.MULTILINE)


def meanings(kind: type[StrEnum]) -> Mapping[str, str]:
    """Each word, and the comment behind it, where it is defined."""
    return dict(_MEMBER.findall(inspect.getsource(kind)))


def list_of(kind: type[StrEnum]) -> str:
    """The words and what they mean, as a list of a man page."""
    return "".join(item(*row) for row in meanings(kind).items())


def picture() -> str:
    """Each state, what it means, and which events lead away from it, as a list of a man page."""
    return "".join(_shown(state) for state in State)


def _shown(state: State) -> str:
    ways = "".join(f".br\n{line(way)}" for way in _ways(state))
    return f".TP\n{bold(state)}\n{line(sentence(meanings(State)[state]))}{ways}"


def _ways(state: State) -> Iterator[str]:
    """`exited, missed -> unhealthy`: a line for each state that can be the next one."""
    for after in State:
        events = [event for event in Event if TABLE[state][event] is after]
        if events and after is not state:
            yield f"{', '.join(events)} -> {after}"


def environment() -> str:
    """The variables that each instance has, as tables of a Markdown page."""
    told = ((f"`{variable}`", what) for variable, what in (*CONTRACT.items(), *FOLDERS.items()))
    return table(("variable", "what it is"), told)


def markdown() -> str:
    """The states, the details, the events, and which event leads from where to where, as tables of
    a Markdown page."""
    named = (("state", State), ("detail", Detail), ("event", Event))
    lists = (table((what, "what it means"), meanings(kind).items()) for what, kind in named)
    ways = ((event, *(TABLE[state][event] for state in State)) for event in Event)
    return "\n".join((*lists, table(("", *State), ways)))
