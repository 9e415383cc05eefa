"""Who may ask for deploys and hears of them: root all, an operator what is about his workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from manager.placed import place

from tqunits.control import deploy_protocol
from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Problem
from tqunits.lifecycle.deploys import DeployKind
from tqunits.manager.announcements import Announcements
from tqunits.manager.deploy_answers import DeployAnswers
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.rights import Caller
from tqunits.model import Instance

ROOT = Caller(0)
OF_API = Caller(1000, "ann", frozenset({"api"}))
API, SHOP, GONE = 1, 2, 3  # numbers of deploys


@pytest.fixture
async def log(hands: Hands) -> DeployLog:
    """One deploy of api, number 1, and one of shop, number 2."""
    log = DeployLog(DeployFiles(hands.layout), pytest.fail)
    for worker in ("api", "shop"):
        log.open(worker, DeployOrder((worker,), DeployKind.DEPLOY), "root", release=None)
    return log


class Answers(DeployAnswers):
    """The answers, and what was told of the requests."""

    def __init__(self, deploys: Deploys) -> None:
        self.told: list[tuple[str, str, tuple[str, ...]]] = []
        super().__init__(deploys, 1, lambda caller, path, of: self.told.append((caller.actor, path, tuple(of))))


@pytest.fixture
async def answers(log: DeployLog, hands: Hands) -> AsyncIterator[Answers]:
    deploys = Deploys(hands, log, Announcements(None), rolls=1)
    yield Answers(deploys)
    deploys.close()


def workers_in(body: Mapping[str, object]) -> list[str]:
    rows = body["deploys"]
    assert isinstance(rows, list)
    return [row["worker"] for row in rows]


@pytest.mark.parametrize("kind", ["deploy", "build", "rollback"])
@pytest.mark.parametrize("workers", [["shop"], ["api", "shop"], ["nobody"]], ids=" ".join)
async def test_an_operator_deploys_no_other_worker(
    answers: Answers, log: DeployLog, workers: list[str], kind: str
) -> None:
    with pytest.raises(Problem) as refused:
        answers.accepted({"workers": workers, "kind": kind, "release": None, "message": ""}, OF_API)
    assert refused.value.status == 403
    assert len(log.of(None, 100)) == 2
    assert answers.told == []


async def test_an_operator_removes_no_releases_of_another_worker(answers: Answers) -> None:
    with pytest.raises(Problem) as refused:
        await answers.pruned({"workers": ["api", "shop"]}, OF_API)
    assert refused.value.status == 403


async def test_an_operator_hears_of_no_other_worker(answers: Answers) -> None:
    target = "/deploys?worker=shop&limit=20"
    with pytest.raises(Problem) as refused:
        await answers.asked(target, OF_API)
    assert refused.value.status == 403
    assert workers_in(await answers.asked(target, ROOT)) == ["shop"]


@pytest.mark.parametrize(
    ("caller", "numbers", "known"),
    [
        (ROOT, (API, SHOP), True),
        (ROOT, (API, GONE), False),
        (OF_API, (API,), True),
        (OF_API, (SHOP,), False),
        (OF_API, (API, SHOP), False),
        (OF_API, (GONE,), False),
    ],
)
async def test_a_number_of_anothers_worker_is_as_one_that_no_deploy_has(
    answers: Answers, caller: Caller, numbers: tuple[int, ...], *, known: bool
) -> None:
    target = deploy_protocol.progress_target(numbers, 0, 0)
    if known:
        assert len(workers_in(await answers.asked(target, caller))) == len(numbers)
        return
    with pytest.raises(Problem) as refused:
        await answers.asked(target, caller)
    assert (refused.value.status, "shop" in str(refused.value)) == (404, False)


@pytest.mark.parametrize(("caller", "workers"), [(ROOT, ["shop", "api"]), (OF_API, ["api"])], ids=["root", "operator"])
async def test_the_history_of_all_has_what_is_his(answers: Answers, caller: Caller, workers: list[str]) -> None:
    assert workers_in(await answers.asked("/deploys?limit=20", caller)) == workers


async def test_what_an_operator_asks_for_is_told(answers: Answers, hands: Hands) -> None:
    hands.registry.place([place(Instance("api"))])
    answers.accepted({"workers": ["api"], "kind": "build"}, OF_API)
    await answers.asked("/deploys?worker=api", OF_API)
    await answers.asked(deploy_protocol.progress_target([API], 0, 0), OF_API)
    with pytest.raises(Problem, match="is being deployed"):
        await answers.pruned({"workers": ["api"]}, OF_API)
    assert answers.told == [
        ("1000/ann", "/deploy", ("api",)),
        ("1000/ann", "/deploys", ("api",)),
        ("1000/ann", "/deploys", ()),
        ("1000/ann", "/prune", ("api",)),
    ]
