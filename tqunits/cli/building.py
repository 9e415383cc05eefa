"""The builds of an install: those that are due are run, and what came of them is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tqunits.cli.builds import due_of, is_made_elsewhere
from tqunits.errors import TqunitsError
from tqunits.host import build, built, lacking
from tqunits.host.build import Builder
from tqunits.host.built import Glance
from tqunits.host.lacking import Lacking
from tqunits.model import Layout, Worker

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the builds of an install."""

    skipped: tuple[Lacking, ...]  # the workers that this host can not run as they are configured
    built: tuple[str, ...]  # whose build was tried, so that there may be files which were not there


def build_due(workers: Iterable[Worker], builder: Builder | None, layout: Layout, say: Say) -> Outcome:
    """Build what is not built as its sources are now; without a builder (--user) as who asks. One's failure is not
    another's.
    """
    tried = [_Build(worker, builder, layout, say) for worker in workers]
    lacks = [each.perform() for each in tried]
    return Outcome(
        skipped=tuple(lack for lack in lacks if lack), built=tuple(each.name for each in tried if each.is_tried)
    )


class _Build:
    """One worker's, if it is due."""

    def __init__(self, worker: Worker, builder: Builder | None, layout: Layout, say: Say) -> None:
        self._worker, self._builder, self._layout, self._say = worker, builder, layout, say
        self.name = worker.name
        self.is_tried = False

    def perform(self) -> Lacking | None:
        """Gives why the worker can not run, or not as its sources are now."""
        worker = self._worker
        lack = lacking.lacking(worker)
        if lack is not None:
            return lack
        try:
            now = built.glance(worker, self._layout)
            return self._build(now) if now is not None else None
        except TqunitsError as error:
            return self._lack(error.message, error.hint)
        except OSError as error:
            return self._lack(str(error))

    def _build(self, now: Glance) -> Lacking | None:
        worker = self._worker
        if not now.reason:
            built.settle(worker, self._layout, now)
            return None
        lack = lacking.lacking_to_build(worker)
        if lack is not None and is_made_elsewhere(worker, now):
            self._say(f"{worker.name} runs {worker.command[0]} as it is: {lack.reason}")
            return None
        if lack is not None:
            return lack
        self._say(f"build {due_of(worker, now).text}")
        self.is_tried = True
        if self._builder is not None:
            return self._builder.build(worker, now)
        return build.build_for_oneself(worker, self._layout, now)

    def _lack(self, reason: str, hint: str | None = None) -> Lacking:
        return Lacking(worker=self._worker.name, reason=f"its build is not done: {reason}", hint=hint)
