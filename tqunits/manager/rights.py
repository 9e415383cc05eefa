"""Who may ask the manager for what: decided from values, without I/O.

Root and the manager's own user may ask for all. An operator of a worker is who root's grant names
(`grants.NAME.operators` in tqunits.yaml: users, and groups as %group), as install has written it
into the worker's drop-in; polkit's rule has the same names. Nobody is an operator because a
worker's folder is his.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tqunits.control.protocol import Problem
from tqunits.lifecycle.release import MAX_ACTOR
from tqunits.light_dataclass import dataclass
from tqunits.printable import printable
from tqunits.system.members import Person

NOBODY = "only root and operators of workers may ask for more than /version (grants.NAME.operators in tqunits.yaml)"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for whom."""

    uid: int
    user: str = ""
    workers: frozenset[str] | None = None  # those that he operates; None: he may ask for all

    @property
    def is_operator(self) -> bool:
        """Whether he has rights to single workers only."""
        return self.workers is not None

    @property
    def actor(self) -> str:
        """As the journal has him."""
        return f"{self.uid}/{self.user}"

    @property
    def name(self) -> str:
        """As the history of deploys and the orders to root have him: bounded, and printable,
        whatever the host's database of users calls him."""
        return "root" if self.uid == 0 else printable(self.actor)[:MAX_ACTOR]

    def operates(self, worker: str) -> bool:
        """Whether he may ask about this worker."""
        return self.workers is None or worker in self.workers

    def require(self, workers: Iterable[str]) -> None:
        """Raises Problem for a worker that is another's; whether there is one of that name makes no
        difference."""
        for worker in sorted(workers):
            if not self.operates(worker):
                text = f"only root and the operators of {worker} may ask (grants.{worker}.operators in tqunits.yaml)"
                raise Problem(403, text)


def operated(operators: Mapping[str, Collection[str]], who: Person) -> frozenset[str]:
    """The workers that a user operates. `operators`: worker -> users, and groups as %group."""
    groups = {f"%{group}" for group in who.groups}
    names = groups if who.user.startswith("%") else {who.user, *groups}
    return frozenset(worker for worker, named in operators.items() if not names.isdisjoint(named))
