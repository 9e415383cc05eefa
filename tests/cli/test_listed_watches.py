"""What `ls` and `show` ask the manager about the watch: one question, and none where nothing is
watched or the manager is away, which a question would start."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from deploy_peer import context_in, layout_in, verb
from manager.watched_folder import ALL

from tqunits.cli import listing
from tqunits.cli.output import Output
from tqunits.control import protocol
from tqunits.control.server import LocalServer
from tqunits.host.run_time_health import UNKNOWN, RunTimeHealth
from tqunits.http.head import RequestHead
from tqunits.routing.codec.schema import USUAL, snapshot_text
from tqunits.routing.snapshot import StaticFiles
from tqunits.routing.spelling import snapshot_around
from tqunits.units import ledger, watch_note
from tqunits.units.ledger import LedgerEntry

ANSWER = {"watches": [], "unapplied": "tqunits.yaml:1: no such setting"}


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[list[bytes]]:
    """The questions to the manager of the host in that folder, which watches no worker."""
    targets: list[bytes] = []

    async def answer(head: RequestHead, _: bytes, __: int) -> tuple[str, bytes]:
        targets.append(head.target)
        return protocol.JSON, json.dumps(ANSWER).encode()

    place = Path(layout_in(tmp_path).manager_socket)
    place.parent.mkdir(parents=True)
    server = LocalServer(place, answer, mode=0o600, max_clients=4, patience=20, max_body=protocol.MAX_REQUEST)
    await server.start()
    yield targets
    server.close()


@pytest.mark.parametrize("is_known", [True, False], ids=["it answers", "it is away"])
async def test_why_the_configuration_is_not_applied_is_one_question(
    asked: list[bytes], tmp_path: Path, *, is_known: bool
) -> None:
    out, err = io.StringIO(), io.StringIO()
    health = RunTimeHealth(is_known=True, failing={}) if is_known else UNKNOWN
    context = context_in(tmp_path, Output(out, err))
    found = await asyncio.to_thread(listing.look, (), health, context)
    assert asked == ([b"/watches"] if is_known else [])
    listing.show(found, context.output)
    words = f"tqunits.yaml, as it is now, is not applied: {ANSWER['unapplied']}"
    assert (words in out.getvalue() + err.getvalue()) == is_known
    assert found.members()["unapplied"] == (ANSWER["unapplied"] if is_known else None)


@pytest.mark.parametrize("is_watched", [True, False], ids=["watched", "not watched"])
async def test_of_files_alone_that_are_not_watched_show_says_nothing(
    asked: list[bytes], tmp_path: Path, *, is_watched: bool
) -> None:
    layout, files = layout_in(tmp_path), StaticFiles(directory=str(tmp_path / "public"), prefix="/")
    routes = snapshot_text(snapshot_around([replace(USUAL, name="api", routes=("/",), static=files)]))
    note = watch_note.note(ALL) if is_watched else ""
    entry = LedgerEntry(worker="api", source=str(tmp_path / "config/worker.yaml"), watch=note)
    for path, text in ((layout.routes, routes), (layout.ledger, ledger.dump([entry]))):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    said = await asyncio.to_thread(verb, tmp_path, ["show", "api"])
    assert ("watched" in said.out) == is_watched
    assert asked == ([b"/watches"] if is_watched else [])
