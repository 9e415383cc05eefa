"""What the manager answers about deploys (control/deploy_protocol.py has the requests): root may
ask for all, an operator for those of his workers."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tqunits.control import deploy_protocol
from tqunits.control.deploy_protocol import DEPLOY, DEPLOYS, PRUNE, HistoryQuestion, ProgressQuestion
from tqunits.control.protocol import Body, Problem
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.rights import Caller

Tell = Callable[[Caller, str, Collection[str]], None]
"""Writes down who has asked for what."""


class DeployAnswers:
    """The answers."""

    def __init__(self, deploys: Deploys, since_us: int, tell: Tell) -> None:
        """`since_us`: the manager's start, from which events are counted."""
        self._deploys = deploys
        self._since_us = since_us
        self._tell = tell

    def accepted(self, body: Body, caller: Caller) -> Body:
        """An order. Raises Problem."""
        order = deploy_protocol.deploy_order(body)
        caller.require(order.workers)
        self._tell(caller, DEPLOY, order.workers)
        return deploy_protocol.deploys_body(self._deploys.accept(order, caller.name))

    async def pruned(self, body: Body, caller: Caller) -> Body:
        """An order to remove releases. Raises Problem."""
        asked = deploy_protocol.prune_question(body)
        caller.require(asked.workers)
        self._tell(caller, PRUNE, asked.workers)
        return deploy_protocol.pruned_body(await self._deploys.prune(asked.workers, clear=asked.caches))

    async def asked(self, target: str, caller: Caller) -> Body:
        """A question for the history, or for what has changed. Raises Problem."""
        match deploy_protocol.deploys_question(target):
            case HistoryQuestion(worker=worker, limit=limit):
                workers = () if worker is None else (worker,)
                caller.require(workers)
                self._tell(caller, DEPLOYS, workers)
                found = self._deploys.log.of(worker, limit, caller.operates)
                return deploy_protocol.deploys_body(found)
            case ProgressQuestion(after=after, wait_us=wait_us, numbers=numbers):
                log = self._deploys.log
                _require_his(log, numbers, caller)
                self._tell(caller, DEPLOYS, ())
                changed = await log.wait(after, numbers, wait_us / 1e6)
                return deploy_protocol.progress_body(changed, log.last_event, self._since_us)


def _require_his(log: DeployLog, numbers: Collection[int], caller: Caller) -> None:
    """Raises Problem for a number that no deploy of his workers has: its change would be waited for
    without end. Whether one of another's worker has it makes no difference: he could count through
    all workers of the host."""
    found = {each.number for _, each in log.changed_since(0, numbers) if caller.operates(each.worker)}
    unknown = sorted(set(numbers) - found)
    if unknown:
        raise Problem(404, f"no deploy is kept with the number {', '.join(map(str, unknown[:10]))}")
