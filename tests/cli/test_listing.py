"""The list of `ls`: who runs a release makes a column and says which."""

from __future__ import annotations

import io
import json

from tqunits.cli import listing
from tqunits.cli.listing import Listing, WorkerRow
from tqunits.cli.output import Output
from tqunits.host.status import InstanceStatus
from tqunits.lifecycle.state import State
from tqunits.model import Instance

RELEASE = "3f9c02d1a7be"


def row(number: int, release: str | None) -> WorkerRow:
    found = InstanceStatus(state=State.HEALTHY)
    return WorkerRow(whose=Instance("api", number), routes=("/",), hosts=(), found=found, user="ann", release=release)


def shown(*rows: WorkerRow) -> list[list[str]]:
    """The words of each line."""
    out = io.StringIO()
    listing.show(Listing(rows=rows, is_known=True), Output(out, io.StringIO()))
    return [line.split() for line in out.getvalue().splitlines()]


def test_where_nobody_runs_a_release_there_is_no_column() -> None:
    head, *lines = shown(row(1, None), row(2, None))
    assert (head[-1], [line[-1] for line in lines]) == ("USER", ["ann", "ann"])


def test_the_release_is_the_last_column() -> None:
    head, *lines = shown(row(1, RELEASE), row(2, None))
    assert (head[-2:], [line[-2:] for line in lines]) == (["USER", "RELEASE"], [["ann", RELEASE], ["ann", "-"]])


def test_the_document_has_it() -> None:
    document = json.loads(json.dumps(Listing(rows=[row(1, RELEASE), row(2, None)], is_known=True).members()))
    assert [each["release"] for each in document["workers"]] == [RELEASE, None]
