"""What the manager knows of an instance from its drop-in: what of its files is watched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from units.cases import case, worker

from tqunits.host.installed import Installed
from tqunits.manager.observer import place_of
from tqunits.model import Instance, Worker
from tqunits.units.unitfile import ledger
from tqunits.units.watch_note import WatchNote

API = worker("api")


def installed(one: Worker) -> Installed:
    text = case(one).drop_in("api")
    found = ledger(text)
    assert found is not None
    return Installed(
        instance=Instance("api"), unit="tq-worker@api.service", drop_in=Path("/d"), text=text, ledger=found
    )


def test_the_note_of_what_is_watched_arrives() -> None:
    watched = replace(API, writable=("data",), watch=replace(API.watch, enabled=True, ignore=("*.tmp", "100%")))
    assert place_of(installed(watched), None).watch == WatchNote(
        paths=(".",), ignore=("*.tmp", "100%"), without=("data",), debounce=100_000, max_wait=2_000_000, may_write=False
    )
    assert place_of(installed(API), None).watch is None
