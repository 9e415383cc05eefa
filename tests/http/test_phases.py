"""The tables of the phases: they are complete, every phase is reachable, the objects follow them,
and the diagrams agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tqunits.http.phases import CLIENT, CLIENT_PHASES, WORKER, WORKER_PHASES, Table

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
TABLES = {"client": (CLIENT, "HEAD"), "worker": (WORKER, "CONNECTING")}


def drawn(table: Table) -> str:
    """A table as the lines of a diagram."""
    return "".join(f"    {state} --> {after}: {event}\n" for state in table for event, after in table[state].items())


@pytest.mark.parametrize(("table", "first"), TABLES.values(), ids=TABLES)
def test_every_state_can_be_reached(table: Table, first: str) -> None:
    reached, left = set(), [first]
    while left:
        state = left.pop()
        if state not in reached:
            reached.add(state)
            left.extend(table[state].values())
    assert reached == set(table)


@pytest.mark.parametrize(("table", "states"), [(CLIENT, CLIENT_PHASES), (WORKER, WORKER_PHASES)], ids=TABLES)
def test_the_objects_say_what_the_table_says_and_nothing_else(table: Table, states: dict[str, object]) -> None:
    events = {event for row in table.values() for event in row}
    for name, state in states.items():
        assert {event: vars_of(state, event) for event in events} == {e: table[name].get(e) for e in events}


def vars_of(state: object, event: str) -> str | None:
    after = getattr(state, event, None)
    name = getattr(after, "name", None)
    return None if name is None else str(name)


@pytest.mark.parametrize("name", TABLES)
def test_the_picture_is_of_the_table(name: str) -> None:
    table, _ = TABLES[name]
    assert drawn(table) in ARCHITECTURE.read_text()
