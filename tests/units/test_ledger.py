"""The ledger: a second copy of the values that are kept in drop-ins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.units import ledger, name
from tqunits.units.ledger import LedgerEntry

from .cases import Case, configuration, target, worker

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,23}", fullmatch=True)
NUMBERS = st.integers(1, 9999)
FILES_ALONE = st.builds(
    LedgerEntry,
    worker=NAMES,
    number=NUMBERS,
    source=st.text(),
    source_hash=st.none() | st.text(),
    watch=st.none() | st.text(),
)


def drop_in(worker_name: str) -> str:
    files = Case(configuration(worker(worker_name)), target()).files()
    return next(file.content for file in files if file.path.name == name.DROP_IN)


def test_a_drop_in_survives_to_the_letter() -> None:
    text = drop_in("api")
    entry = ledger.of_drop_in(text, name.service("api"))
    assert entry is not None
    assert (entry.worker, entry.drop_in) == ("api", text)
    assert ledger.load(ledger.dump([entry])) == {"api": entry}


@given(st.lists(FILES_ALONE, unique_by=lambda entry: entry.whose))
def test_what_is_written_is_read(entries: list[LedgerEntry]) -> None:
    assert ledger.load(ledger.dump(entries)) == {str(entry.whose): entry for entry in entries}


def test_who_is_forgotten_is_not_in_it() -> None:
    api, web = LedgerEntry(worker="api", source="/a"), LedgerEntry(worker="web", source="/w")
    text = ledger.dump([api, web, replace(api, number=2)])
    assert set(ledger.load(ledger.without(text, ["api", "other"]))) == {"web"}


def altered(**members: object) -> str:
    document = json.loads(ledger.dump([LedgerEntry(worker="api", source="/a")]))
    document["workers"]["api"].update(members)
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{",
        '{"version": 2, "workers": {}}',
        '{"version": 1, "workers": []}',
        '{"version": 1, "workers": {"api": null}}',
        ledger.dump([LedgerEntry(worker="../x", source="")]),
        "[" * 100_000,
        altered(source=None),
        altered(source_hash=1),
        altered(watch=1),
        altered(drop_in=drop_in("web")),
        altered(drop_in="[Service]\nExecStart=/bin/sh\n"),
    ],
)
def test_what_is_no_ledger_of_ours_remembers_nothing(text: str | None) -> None:
    assert ledger.load(text) == {}


def test_no_file_but_a_drop_in_is_an_entry() -> None:
    assert ledger.of_drop_in("[Service]\nExecStart=/bin/sh\n", name.service("api")) is None
    assert ledger.of_drop_in(drop_in("api"), "tq-worker@.service") is None
    assert name.drop_in("tq-worker@api.service", PurePosixPath("/u")) == PurePosixPath(
        "/u/tq-worker@api.service.d/10-tqunits.conf"
    )
