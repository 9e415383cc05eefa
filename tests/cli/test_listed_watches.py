"""What `ls` asks the manager about the watch: one question, and none where the manager is away,
which a question would start."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from deploy_peer import context_in, layout_in

from tqunits.cli import listing
from tqunits.cli.output import Output
from tqunits.control import protocol
from tqunits.control.server import LocalServer
from tqunits.host.run_time_health import UNKNOWN, RunTimeHealth
from tqunits.http.head import RequestHead

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
