"""The goal of a restart, and of a deploy in development mode: no instance is in the run any more
that it was in before.

A run is known by systemd's invocation ID, which each start of a unit makes anew. Those that are to
end are written down before the first of them is ended, so the manager that comes after a crash
knows who is still to be restarted. A time would not tell it: the clock of a host may be set back,
and then each run seems to have begun after the restart.

An instance starts again with what it is to run anyway, a release or the worker's folder, so no link
of a replica is changed. The surge gets what the first replica is to run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tqunits.host import release_links
from tqunits.lifecycle.release import FOLDER
from tqunits.manager.hands import Hands
from tqunits.model import Instance


class RestartGoal:
    """New runs of all instances of one worker that run."""

    unmet = "was to be restarted, and is in the same run as before"

    def __init__(self, hands: Hands, worker: str, runs: Collection[str]) -> None:
        """`runs`: those that are to end."""
        self._hands = hands
        self._worker = worker
        self._runs = frozenset(runs)

    def lacking(self) -> tuple[Instance, ...]:
        """Those that are still in one of these runs. Who has ended by himself meanwhile, or was
        started by somebody, has begun another."""
        running = (each.place.whose for each in self._hands.running(self._worker))
        return tuple(whose for whose in running if not self.has(whose))

    def has(self, whose: Instance) -> bool:
        """Whether it is in another run."""
        return self._hands.invocation(whose) not in self._runs

    async def prepare(self, whose: Instance) -> None:
        """Let the surge start with what the first replica starts with. Without a release there is
        nothing to be asked of root: a worker that can not run releases has no link, and in
        development mode nobody follows one."""
        surge, replicas = self._hands.surge(self._worker), self._hands.replicas(self._worker)
        if surge is None or surge.place.whose != whose or not replicas or self._hands.folder_use(self._worker):
            return
        links = release_links.runs_of(self._hands.layout, self._worker)
        wanted = links.get(replicas[0].place.whose.number)
        if links.get(whose.number) != wanted:
            await self._hands.harvests.point(self._worker, {whose.number: wanted or FOLDER})

    async def proven(self) -> None:
        """There is nothing to be changed for the others."""

    async def give_up(self) -> None:
        """Nor to be changed back."""

    def to_take_back(self, touched: Sequence[Instance]) -> tuple[Instance, ...]:
        """None: what an instance ran before is what it was started with again."""
        del touched
        return ()
