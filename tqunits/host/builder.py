"""Builds a worker whose sources are not those of the last build: in a sandboxed unit, as an account
that only builds use.

A build runs other people's code (a compiler's plug-ins, a package's install script). So a build
never runs as root or as the worker, and never sees a secret: tq-build@NAME.service gives build-NAME
a copy of the worker's folder to write in (units/build_units.py has the unit, alone/workspace.py
makes the copy). We take the results of a build that succeeded into the worker's folder, as root's
files (build_results.py), and remember them (built.py). A build that fails replaces nothing.

Builds come before the steps of an install, because a build may make the file that a credential
names. So the units and the account of a build are written here, before the steps of the plan that
write them too. This is safe: each file is written whole, an existing account is not made again, and
systemd is asked to reload what it has not read. If it is interrupted anywhere, the next install
does the rest.

There is no means to bound a folder on every file system: few have project quotas, a tmpfs takes
memory, an image in a loop device takes its whole size and a mkfs. So we measure the workspace once
a second while we wait for the build, and the unit's LimitFSIZE= bounds each file. When an install
is killed, its build goes on without this measurement until its TimeoutStartSec=; the next install
ends it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tqunits import placeholders
from tqunits.errors import TimedOut, TqunitsError
from tqunits.host import build_results, built
from tqunits.host.build_results import Harvest, NotMade
from tqunits.host.built import Glance
from tqunits.host.lacking import Lacking, command_missing
from tqunits.host.progress import BarredFiles, OwnFiles, Tell, Turn, ignore, waiting
from tqunits.host.source_tree import Sources
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.lifecycle.outcome import Failure, JobResult
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY, MANAGER_USER, Worker, build_account_of
from tqunits.system import files, journal, users
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs
from tqunits.system.process import Completed, run
from tqunits.system.survey import Bounds, Watch
from tqunits.units import build_units as unit
from tqunits.units import name, quote, shared
from tqunits.units.rendering import RenderedFile

BUILD_TIMEOUT_S = unit.TIMEOUT // 1_000_000

_STOP_US = 60_000_000
"""The unit's TimeoutStopSec=, and time for systemd to kill what is left after it."""

_JOURNAL_LINES = 10
_STATE, _CACHE = SYSTEM_LAYOUT.state, SYSTEM_LAYOUT.cache
_OLD = (Path("/var/lib/private/tqunits"), Path("/var/cache/private/tqunits"))
"""Where DynamicUser= kept workspaces and caches of builds, up to the previous release."""

_FILE_TOO_LARGE = 25  # SIGXFSZ (signal(7)); a shell exits with 128 more
_SHELL = 128


def build_for_oneself(worker: Worker, layout: Layout, now: Glance) -> Lacking | None:
    """Run the worker's build as the calling user, in the worker's folder itself: with --user all of
    it belongs to that user.

    Returns what went wrong, or None when the worker's command exists now.
    """
    environment = {**os.environ, **dict(placeholders.constant(worker.environment)), **dict(worker.build.environment)}
    folder, said = Path(worker.folder), ""
    for command in _commands(worker):
        try:
            done = run(command, environment=environment, working_directory=folder, timeout_s=BUILD_TIMEOUT_S)
        except (TimedOut, OSError) as error:
            return Lacking(worker=worker.name, reason=f"its build is not done: {error}")
        said = _tail(done)
        if done.returncode != 0:
            return Lacking(worker=worker.name, reason=f"its build exited with status {done.returncode}", hint=said)
    if command_missing(worker):
        return Lacking(worker=worker.name, reason=_not_made(worker), hint=said or None)
    built.end_in_place(worker, layout, now)
    return None


def _commands(worker: Worker) -> Iterator[tuple[str, ...]]:
    fetch = worker.build.fetch
    if fetch is not None and os.path.lexists(worker.folder / fetch.needs):
        yield fetch.command
    yield worker.build.command


class BuildFailed(TqunitsError):
    """A build has ended without a result. The message is a sentence without a subject; the hint has
    the last lines of its journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Runs builds in their units."""

    bus: Bus
    files: Sequence[RenderedFile]  # all units of the host, and the file of sysusers.d, as they will be
    tell: Tell = ignore
    timeout_us: int = INFINITY  # of each build, besides the unit's own timeout

    def build(self, worker: Worker, now: Glance) -> Lacking | None:
        """Build one worker. Returns what went wrong, or None when all results are in place. Raises
        TqunitsError."""
        try:
            with self.built(worker):
                home = _bring_home(worker, now.sources)
                if command_missing(worker):
                    raise NotMade(worker.command[0])
        except BuildFailed as failed:
            return Lacking(worker=worker.name, reason=failed.message, hint=failed.hint)
        except (TqunitsError, OSError) as error:
            return Lacking(worker=worker.name, reason=f"what its build made is not taken over: {error}")
        built.end(worker, SYSTEM_LAYOUT, now.sources, home.made)
        self._tell_of(worker.name, home)
        return None

    @contextmanager
    def built(self, worker: Worker) -> Iterator[None]:
        """Run the build of one worker. Inside, its copy of the worker's folder is as the build has
        left it (`workspace`); who misses the program there raises NotMade.

        Raises BuildFailed, also in the place of NotMade; and TqunitsError.
        """
        with _turn(worker.name, wait=lambda holder: self.tell(Turn(holder))):
            yield from self._built(worker)

    def _built(self, worker: Worker) -> Iterator[None]:
        self._lay_down(worker)
        built.lend(worker, SYSTEM_LAYOUT, users.group_of(build_account_of(worker.name)))
        units = unit.units(worker)
        with self._workspace(worker, units) as watch:
            results = {result.unit: result for result in self._run(units, watch)}
            reason = _reason(results, units, watch, self.timeout_us)
            if watch.beyond:
                _remove(_caches(worker.name))  # caches count as well: with them every later build would be too large
            if reason:
                raise BuildFailed(reason, hint=self._said(results, units) or None)
            try:
                yield
            except NotMade:
                raise BuildFailed(_not_made(worker), hint=self._said(results, units) or None) from None

    def _tell_of(self, worker: str, home: Harvest) -> None:
        if home.kept.count:
            self.tell(OwnFiles(worker, str(home.kept)))
        if home.left.count:
            self.tell(BarredFiles(worker, str(home.left)))

    def _lay_down(self, worker: Worker) -> None:
        """Write the units of the build and make its account, where they are missing. The manager's
        account too: its group may read what the build has made."""
        accounts, units = (build_account_of(worker.name), MANAGER_USER), unit.units(worker)
        for file in self.files:
            path = Path(file.path)
            if file.unit is None and (lacking := {each for each in accounts if not users.exists(each)}):
                users.create_alone(shared.lines_of(file.content, lacking))
            wanted = file.unit == name.BUILD_TEMPLATE or file.unit in units
            if wanted and files.read_text_if_exists(path) != file.content:
                files.write_atomically(path, file.content, file.mode)
        if any(self.bus.property_of(u, "Unit", "NeedDaemonReload", "b") for u in units):
            self.bus.reload_daemon()

    @contextmanager
    def _workspace(self, worker: Worker, units: Sequence[str]) -> Iterator[Watch]:
        """Remove what an earlier build has left; afterwards remove all of this one but its
        caches."""
        self._end(units)
        _remove((*_old(worker.name), *_workspace(worker.name)))
        folders = (*_workspace(worker.name), *_caches(worker.name))
        try:
            yield Watch(folders, Bounds(size=worker.build.disk_max))
        finally:
            self._end(units)
            _remove(_workspace(worker.name))

    def _run(self, units: Sequence[str], watch: Watch) -> Iterator[JobResult]:
        tell = waiting(self.tell)

        def look(running: Sequence[str]) -> None:
            if watch.look():
                for each in running:
                    self.bus.kill_all(each)
            else:
                tell(running)

        return Jobs(self.bus).run("StartUnit", units, timeout_us=self.timeout_us, block=True, on_wait=look)

    def _end(self, units: Sequence[str]) -> None:
        """Stop the units of a build that still run: our timeout is over before theirs, or an
        earlier install was killed."""
        if self.bus.list_units(units):
            Jobs(self.bus).stop(units[::-1], timeout_us=_STOP_US)
            for each in units:
                self.bus.reset_failed(each)

    def _said(self, results: dict[str, JobResult], units: Sequence[str]) -> str:
        """The last lines that the failed unit wrote to the journal; if none has failed, those of
        the last unit."""
        failed = next((results[u] for u in units if u in results and results[u].failure), None)
        invocation = failed.failure.invocation if failed and failed.failure else ""
        asked = failed.unit if failed else units[-1]
        lines = journal.last_lines(asked, _JOURNAL_LINES, user_mode=False, invocation=invocation)
        return "\n".join(lines)


def remains(worker: str | None) -> tuple[Path, ...]:
    """The folders that builds of one worker keep, or (None) of all workers, except those in the
    layout's own folders."""
    if worker is None:
        return _OLD
    return (*_old(worker), *_workspace(worker), *_caches(worker))


def clear_caches(worker: str, bus: Bus) -> bool:
    """Remove what the builds of a worker have kept for the next ones: whether there was anything.
    Raises TqunitsError while it is built, and OSError."""
    in_use = TqunitsError("it is being built, and its caches are in use", hint=f"systemctl status {name.build(worker)}")
    try:
        with _turn(worker):
            loaded = bus.list_units([name.build(worker), name.fetch(worker)])
            if any(each.job or not each.is_resting for each in loaded):
                raise in_use
            there = [path for path in _caches(worker) if os.path.lexists(path)]
            _remove(there)
            return bool(there)
    except files.Held:
        raise in_use from None


def _turn(worker: str, *, wait: Callable[[str], None] | bool = False) -> AbstractContextManager[bool]:
    """The lock of whoever builds a worker or removes its caches: the units, the workspace and the
    caches of its builds are there once. Install, which builds in the worker's folder, and
    tq-harvest@NAME, which can not write to /run, take it both; who makes a release holds
    `release_store.exclusively` already. Raises files.Held, unless it waits."""
    return files.lock(built.remains(worker, SYSTEM_LAYOUT) / "build.lock", wait=wait)


def of_before() -> tuple[Path, ...]:
    """What builds of the previous release have left, which ran with DynamicUser=."""
    links = [p for above in (_STATE, _CACHE) for p in Path(above, "builds").glob("*") if p.is_symlink()]
    return (
        *links,
        *(folder for folder in _OLD if os.path.lexists(folder)),
    )  # Path.exists() would raise without the right to look


def _reason(results: dict[str, JobResult], units: Sequence[str], watch: Watch, timeout_us: int) -> str | None:
    """Why there is no result to take, in words; None when all went well."""
    if watch.beyond:
        return f"its build was ended: {watch.beyond}"
    for result in (results[u] for u in units if u in results):
        what = "its build" if result.unit == units[-1] else "the fetch for its build"
        match result:
            case JobResult(result="done"):
                continue
            case JobResult(result="waiting"):
                return f"{what} is not done after {quote.span(timeout_us)}"
            case JobResult(failure=Failure() as failure):
                return f"{what} {_ended(failure)}"
            case _:
                return f"{what} was not run: {result.message or result.result}"
    return None


def _ended(failure: Failure) -> str:
    match failure.result:
        case "timeout":
            return f"took longer than {BUILD_TIMEOUT_S // 60} min"
        case "oom-kill":
            return "ran out of memory"
        case "exit-code" if failure.main_status != _SHELL + _FILE_TOO_LARGE:
            return f"exited with status {failure.main_status}"
        case "exit-code" | "signal" | "core-dump" if failure.main_status % _SHELL == _FILE_TOO_LARGE:
            return "made a file larger than its build.disk_max"
        case "signal" | "core-dump":
            return f"was killed by signal {failure.main_status}"
        case _:
            return f"failed: {failure.result}"


def _bring_home(worker: Worker, sources: Sources) -> Harvest:
    """Take the results. Names that begin with a dot are taken only where a word of the build's
    command or of the worker's command is that path."""
    words = [word.removeprefix(f"{worker.folder}/") for word in (*worker.build.command, *worker.command)]
    named = [word for word in words if not word.startswith(("/", "-"))]
    return build_results.bring_home(
        workspace(worker.name),
        Path(worker.folder),
        last=worker.command[0].removeprefix(f"{worker.folder}/"),
        named=named,
        bounds=Bounds(size=worker.build.disk_max),
        before=built.made(worker, SYSTEM_LAYOUT),
        intend=lambda made: built.begin(worker, SYSTEM_LAYOUT, sources, made),
    )


def _not_made(worker: Worker) -> str:
    """What to say of a build that has succeeded without a program."""
    return f"its build did not make {worker.command[0]}"


def workspace(worker: str) -> Path:
    """The build's copy of the worker's folder. Its content is the build's account's."""
    return Path(unit.copy(worker, _STATE))


def _workspace(worker: str) -> tuple[Path, ...]:
    """The unit's StateDirectory=, which only its user may read."""
    return Path(unit.folder(worker, _STATE)), workspace(worker)


def _caches(worker: str) -> tuple[Path, ...]:
    return (Path(unit.folder(worker, _CACHE)),)


def _old(worker: str) -> tuple[Path, ...]:
    """What the previous release has left: its folders, and its links in the places of our
    folders."""
    links = (path for path in (*_workspace(worker), *_caches(worker)) if path.is_symlink())
    return (*(above / "builds" / worker for above in _OLD), *links)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.exists() or path.is_symlink():
            files.remove_tree(path)


def _tail(done: Completed) -> str:
    return "\n".join((done.stderr or done.stdout).strip().splitlines()[-_JOURNAL_LINES:])
