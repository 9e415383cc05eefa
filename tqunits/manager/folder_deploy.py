"""The deploy of a worker that runs from its own folder, in development mode: the folder is built
where it has a build, and the instances are replaced with what lies there then.

Root builds, as an install does (host/harvesting.py). A worker without a build needs nothing of
root, which takes longer than the rest of such a deploy but the worker's own start. Who is to be
replaced is written down when the build has ended, and not when the deploy begins: an instance that
has ended by itself meanwhile has started with the old program, perhaps. So what is written down
also tells the manager that comes after a crash that the folder is built.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tqunits.lifecycle.deploys import DeployKind, DeployRecord
from tqunits.lifecycle.release import HarvestResult
from tqunits.light_dataclass import dataclass
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import DeployFailed
from tqunits.manager.release_command import ReleaseCommand
from tqunits.manager.restart_goal import RestartGoal
from tqunits.manager.roll import Say
from tqunits.units import name
from tqunits.units.folder_note import FolderUse

_IS_BUILT = "is built in its folder"
_AS_IT_IS = "its folder is taken as it is"
_LEFT = "what no build may bring, or change, is left out ('tqunits docs build')"
_IS_SERVED = "its files are served where they lie: in development mode there are no releases"
_RESTS = "does not run; its next start takes its folder"


def no_release(worker: str) -> str:
    """Why a worker that runs from its folder is given no release."""
    return f"{worker} runs from its folder, in development mode: there is no release to go to"


@dataclass(frozen=True, slots=True)
class FolderDeploy:
    """One deploy, or one build."""

    hands: Hands
    log: DeployLog
    record: DeployRecord  # as it was begun

    def refuse_release(self) -> None:
        """The mode may have changed since it was asked for. Raises DeployFailed for one that goes
        to a release, while the worker follows no link to one."""
        is_for_one = self.record.kind is DeployKind.ROLLBACK or self.record.release is not None
        if is_for_one and self.hands.folder_use(self.record.worker) is not None:
            raise DeployFailed(no_release(self.record.worker))

    def found(self) -> HarvestResult | None:
        """What root would say, where that is known without a question; None: it is to be asked."""
        use = self.hands.folder_use(self.record.worker)
        is_built = use is not None and bool(self.record.replaces)
        if is_built or (use is FolderUse.PLAIN and self._is_as_installed()):
            return HarvestResult(number=0, in_folder=True)
        return None

    def take(self, found: HarvestResult) -> RestartGoal | None:
        """The folder is as it is to be: write down who is to be replaced. None: nobody is, because
        it is a build, or files alone. `found`: what root has said of it."""
        worker, is_files = self.record.worker, self.hands.files_alone(self.record.worker) is not None
        if is_files:
            self.say("note", _IS_SERVED, None)
            return None
        self.say("take", _IS_BUILT if found.is_new else _AS_IT_IS, None)
        if found.left:
            self.say("note", f"{_LEFT}: {', '.join(found.left)}", None)
        if self.record.kind is DeployKind.BUILD:
            return None
        runs = self.record.replaces or (self.hands.runs(worker) if self.hands.running(worker) else ())
        if not runs:
            self.say("note", _RESTS, None)
        self.log.taken(worker, self.record.number, runs)
        return RestartGoal(self.hands, worker, runs)

    async def run_command(self) -> None:
        """Run its `release.command`, if it has one, before anything is replaced. Raises
        TqunitsError."""
        command = ReleaseCommand(self.hands.bus, self.hands.layout, self.hands.harvests, self.record.worker)
        if self.record.needs_command and command.is_there:
            self.say("release_command", "its release.command is run", None)
            await command.run_in_folder()

    @property
    def say(self) -> Say:
        """Writes a step down."""
        return lambda what, text, instance: self.log.step(self.record.worker, self.record.number, what, text, instance)

    def _is_as_installed(self) -> bool:
        """Whether worker.yaml was not changed since its unit was written. If it was, or if that can
        not be seen, root says what is to be done."""
        place = next(each.place for each in self.hands.replicas(self.record.worker))
        drop_in = Path(name.drop_in(name.service(replace(place.whose, number=1)), self.hands.layout.units))
        try:
            yaml, unit = Path(place.source).stat(), drop_in.stat()
        except OSError:
            return False
        return max(yaml.st_mtime_ns, yaml.st_ctime_ns) <= unit.st_mtime_ns
