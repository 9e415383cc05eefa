"""What a change on disk asks for, and who does it: the manager's own deploys, and root's
tq-apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Problem
from tqunits.errors import TqunitsError
from tqunits.host import release_links, release_manifests
from tqunits.layout import Layout
from tqunits.lifecycle.deploys import DeployKind
from tqunits.manager.applying import Applying
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.registry import Registry
from tqunits.manager.work_meter import WorkMeter

ACTOR: Final = "tqunits"
"""Who has asked, in the history, for what the manager does of its own accord."""


class WatchActs:
    """What is done."""

    def __init__(
        self, deploys: Deploys, applying: Applying, registry: Registry, layout: Layout, say: Callable[[str], None]
    ) -> None:
        self._deploys = deploys
        self._applying = applying
        self._registry = registry
        self._layout = layout
        self._say = say
        self._refused: dict[str, str] = {}  # worker -> why, as was said; each look asks again

    async def apply(self, worker: str, cost: WorkMeter) -> str:
        """Have its settings applied, on this meter. Returns why they are not; "" when they are."""
        return await self._applying.apply(worker, cost)

    def deploy(self, worker: str, message: str) -> int | None:
        """Have its sources deployed: the number of the deploy; None: it was not accepted."""
        return self._order(worker, DeployKind.DEPLOY, message)

    def restart(self, worker: str, message: str) -> int | None:
        """The same for a restart."""
        return self._order(worker, DeployKind.RESTART, message)

    def is_busy(self, worker: str) -> bool:
        """Whether it is being deployed or restarted, or waits for that."""
        return bool(self._deploys.log.pending(worker))

    def ended_us(self, worker: str, number: int) -> int | None:
        """When a deploy ended, in µs since 1970; None: it goes on. One that is forgotten ended long
        ago."""
        try:
            return self._deploys.log.get(worker, number).ended_us
        except LookupError:
            return 0

    def took_us(self, worker: str, number: int) -> int | None:
        """How long a deploy took, in µs, without what it waited for others; None: it has not
        ended."""
        try:
            record = self._deploys.log.get(worker, number)
        except LookupError:
            return 0
        return None if record.ended_us is None else record.ended_us - (record.begun_us or record.ended_us)

    def runs_from_us(self, worker: str) -> int | None:
        """When what the worker runs was read from its folder, in µs since 1970; None: nothing of it
        runs. A release was read before it was made; a program of the folder when its start began,
        or later."""
        records = [each for whose, each in self._registry.records.items() if whose.worker == worker]
        if not any(each.place.folder_use for each in records):  # else a link from before means nothing
            run = release_links.runs_of(self._layout, worker).get(1)
            if run is not None:
                return self._read_us(worker, run)
        starts = [each.seen.begun for each in records if each.seen.pid and each.seen.begun]
        return min(starts, default=None)

    def _read_us(self, worker: str, release: str) -> int | None:
        try:
            manifest = release_manifests.read(self._layout, worker, release)
        except (TqunitsError, OSError):
            return None
        return manifest.made_us - manifest.took_us

    def _order(self, worker: str, kind: DeployKind, message: str) -> int | None:
        try:
            (record,) = self._deploys.accept(DeployOrder((worker,), kind, message=message), ACTOR)
        except Problem as problem:
            if self._refused.get(worker) != str(problem):
                self._say(f"{worker}: {message}, and no {kind.value} is accepted: {problem}")
            self._refused[worker] = str(problem)
            return None
        self._refused.pop(worker, None)
        self._say(f"{worker}: {message}; {kind.value} {record.number}")
        return record.number
