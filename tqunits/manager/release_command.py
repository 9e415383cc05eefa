"""Has systemd run a worker's `release.command`, once before anything of a new release serves.

tq-release@NAME.service runs it as the worker. Its sandbox has the release that the link of one
number leads to, which its drop-in names (units/release_unit.py); the link leads there only
meanwhile. So no replica starts with a release whose command has not ended well. In development mode
it has the worker's folder. The unit has no state of its own: whether the command was run stands in
the record of the deploy.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle import outcome
from tqunits.lifecycle.outcome import JobResult
from tqunits.manager import unit_jobs
from tqunits.manager.harvests import DeployFailed, Harvests
from tqunits.system.bus import Bus
from tqunits.system.files import read_text_if_exists
from tqunits.units import name, release_mount, release_unit

_MINUTE_US = 60_000_000


class ReleaseCommand:
    """The `release.command` of one worker, as install has written it."""

    def __init__(self, bus: Bus, layout: Layout, harvests: Harvests, worker: str) -> None:
        self._bus = bus
        self._layout = layout
        self._harvests = harvests
        self._worker = worker
        self._unit = name.release(worker)

    @property
    def slot(self) -> int | None:
        """The number whose link it runs with; None: the worker has no such command."""
        text = read_text_if_exists(Path(name.drop_in(self._unit, self._layout.units)))
        return None if text is None else release_mount.mounted_slot(text, self._worker, self._layout.state)

    @property
    def is_there(self) -> bool:
        """Whether the worker has such a command."""
        return Path(name.drop_in(self._unit, self._layout.units)).exists()

    async def run_in_folder(self) -> None:
        """Run it in the worker's folder, in development mode. Raises TqunitsError."""
        await self._run()

    async def run(self, slot: int, release: str, before: str) -> None:
        """Run it in this release. `before`: what the link of `slot` leads to afterwards. Raises
        TqunitsError."""
        await self._harvests.point(self._worker, {slot: release})
        try:
            await self._run()
        except TqunitsError:
            with suppress(TqunitsError):  # why the command has failed matters more
                await self._harvests.point(self._worker, {slot: before})
            raise
        await self._harvests.point(self._worker, {slot: before})

    async def _run(self) -> None:
        ended = await unit_jobs.run_once(self._bus, self._unit)
        if ended.result != "done":
            why = await unit_jobs.why(ended, self._layout)
            with suppress(TqunitsError):
                self._bus.reset_failed(self._unit)  # otherwise the host would be degraded for ever
            raise DeployFailed(f"its release.command {told(ended, why.sentence)}", hint=why.lines)


def told(ended: JobResult, sentence: str) -> str:
    """How it ended, without a subject. `sentence`: what is said of any unit that ends so."""
    failure = ended.failure
    if failure is None or ended.result != "failed":
        return f"was not run: {ended.message}" if ended.message else sentence
    if failure.result == "timeout":
        return f"took longer than {release_unit.TIMEOUT // _MINUTE_US} min"
    if failure.result == "exit-code" and failure.main_status in outcome.STATUSES:
        return f"was not run: {sentence}"
    return sentence
