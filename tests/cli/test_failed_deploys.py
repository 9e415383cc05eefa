"""What `why` tells of the last deploy of a worker, of a manager that answers at a real socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from deploy_peer import WAITING, Peer, context_in, ended, listening

from tqunits.cli import failed_deploys
from tqunits.cli import format as human
from tqunits.cli.output import Output
from tqunits.control.deploy_protocol import HistoryQuestion
from tqunits.control.protocol import Problem
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord

FAILED = ended(WAITING, DeployOutcome.FAILED, why="its build failed: exit status 2")


async def told(folder: Path, *workers: str, user_mode: bool = False) -> object:
    here = context_in(folder, Output(io.StringIO(), io.StringIO()), user_mode=user_mode)
    return await asyncio.to_thread(failed_deploys.failed_deploys, workers, here)


async def test_the_last_deploy_has_failed(tmp_path: Path) -> None:
    async with listening(Peer(tmp_path, history=[FAILED])) as peer:
        assert await told(tmp_path, "api") == {"api": FAILED}
        assert peer.questions == [HistoryQuestion("api", 11)]


@pytest.mark.parametrize("outcome", [each for each in DeployOutcome if each is not DeployOutcome.FAILED])
async def test_another_end_is_not_told(tmp_path: Path, outcome: DeployOutcome) -> None:
    async with listening(Peer(tmp_path, history=[ended(WAITING, outcome)])):
        assert await told(tmp_path, "api") == {}


@pytest.mark.parametrize("history", [[], Problem(403, "it is not yours"), Problem(404, "not installed: api")])
async def test_who_is_told_nothing_is_asked_no_more(tmp_path: Path, history: Sequence[DeployRecord] | Problem) -> None:
    async with listening(Peer(tmp_path, history=history)) as peer:
        assert await told(tmp_path, "api", "shop") == {}
        assert len(peer.questions) == (2 if history == [] else 1)


async def test_without_a_manager_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert await told(tmp_path, "api") == {}


async def test_with_user_nobody_is_asked(tmp_path: Path) -> None:
    async with listening(Peer(tmp_path, history=[FAILED])) as peer:
        assert await told(tmp_path, "api", user_mode=True) == {}
        assert peer.questions == []


@pytest.mark.parametrize("kind", DeployKind)
def test_the_sentence(kind: DeployKind) -> None:
    record = replace(FAILED, kind=kind, ended_us=1_700_000_000_000_000)
    assert failed_deploys.sentence(record) == (
        f"the last {kind.value} (number 5) failed at {human.moment(1_700_000_000_000_000)}: "
        "its build failed: exit status 2; 'tqunits history api' shows all"
    )
