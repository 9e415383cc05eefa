"""The states of an instance as pages show them, from the table in tqunits/lifecycle/state.py: for
tqunits-contract(7) and for docs/lifecycle.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from roff import bold, item, line, sentence

from tqunits.lifecycle.state import TABLE, Detail, Event, State

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


def markdown() -> str:
    """The states, the details, the events, and which event leads from where to where, as tables of
    a Markdown page."""
    named = (("state", State), ("detail", Detail), ("event", Event))
    lists = (_table((what, "what it means"), meanings(kind).items()) for what, kind in named)
    ways = ((event, *(TABLE[state][event] for state in State)) for event in Event)
    return "\n".join((*lists, _table(("", *State), ways)))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rows))
