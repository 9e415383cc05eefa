"""Removes what workers leave behind when their units are gone: data, caches, accounts
(`uninstall --purge`).

A worker that is not installed any more still has all of it: apply removes units, and nothing that
somebody may want back. The worker's own folder stays. Files in it that belonged to its account
become root's again, because another account may get the same number one day. If that fails, the
account stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host import builder, built, release_manifests, writable
from tqunits.host.progress import FolderRemoval, FolderReturn, Tell, UserRemoval
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import MANAGER_USER, account_of, build_account_of
from tqunits.system import files, journal, users
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs
from tqunits.system.survey import remove_file_for_root
from tqunits.units import name

_STOP_US = 60_000_000
"""Time for journald to write what it holds and to end."""


@dataclass(frozen=True, slots=True)
class Remains:
    """A worker that is not installed, and has left something."""

    name: str


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the workers' own folders are."""

    installed: Mapping[str, Path]
    others: Path  # the folder of the workers, where those that are not installed are most likely

    def of(self, user: str) -> tuple[Path, ...]:
        """The folder of the worker with this account."""
        worker = user.removeprefix(account_of(""))
        return (self.installed.get(worker, self.others / worker),) if user == account_of(worker) else ()


def remains(layout: Layout, installed: Iterable[str]) -> tuple[Remains, ...]:
    """These workers, by name. Raises PermissionError without the right to look: the folders of
    builds are root's."""
    found = {folder.name for place in _places(layout) for folder in _entries(place)}
    if layout.sysusers:
        found |= {user.partition("-")[2] for user in users.of_workers(layout.state)}
    workers = {whose.worker for each in found if (whose := name.instance(each))}
    return tuple(Remains(worker) for worker in sorted(workers - set(installed)))


def folders_of(worker: str, layout: Layout) -> list[Path]:
    """The folders with data of a worker and of each of its instances."""
    further = [folder for data in _data(layout) for folder in sorted(_entries(data)) if _is_further(folder, worker)]
    known = (layout.deploys(worker), layout.watched(worker), layout.made(worker))
    asked = (layout.harvest_order(worker), layout.harvest_result(worker), *known)
    kept = (built.remains(worker, layout), release_manifests.folder_of(worker, layout), *map(Path, asked))
    own = (*(data / worker for data in _data(layout)), *further, *kept)
    return _there((*own, *(builder.remains(worker) if layout.sysusers else ())))


def users_of(worker: str, layout: Layout) -> list[str]:
    """The accounts that were made for a worker, and no others."""
    user, builder = account_of(worker), build_account_of(worker)
    own = [user] if layout.sysusers and users.is_ours(user, layout.state) else []
    return own + ([builder] if layout.sysusers and users.is_ours_to_build(builder) else [])


def folders_of_all(layout: Layout) -> list[Path]:
    """All folders that may be ours, except units, which the plan removes, and the configuration,
    which stays."""
    whole = (Path(layout.state), Path(layout.runtime), Path(layout.cache))
    return _there((*whole, *(builder.remains(None) if layout.sysusers else _data(layout)), *_journals(layout)))


def users_of_all(layout: Layout) -> list[str]:
    """Every account of ours, also of workers that are gone."""
    if not layout.sysusers:
        return []
    return [*users.of_workers(layout.state), *([MANAGER_USER] if users.is_managers_ours() else [])]


def purge(worker: str, layout: Layout, own: Folders, tell: Tell) -> list[TqunitsError]:
    """Remove the data of a worker and the users that were made for it. Returns why one of them
    stays."""
    return _remove(folders_of(worker, layout), users_of(worker, layout), own, tell, Path(layout.manager_state))


def purge_all(layout: Layout, bus: Bus, own: Folders, tell: Tell, *, users_too: bool) -> list[TqunitsError]:
    """Remove the data of all workers of this layout and all other data of ours. Returns why users
    stay."""
    if _journals(layout):  # a running journald has them open, and would make them anew at the next request
        Jobs(bus).stop(name.ACCESS_JOURNAL_UNITS, timeout_us=_STOP_US)
    accounts = users_of_all(layout) if users_too else ()
    failures = _remove(folders_of_all(layout), accounts, own, tell, Path(layout.manager_state))
    if not layout.sysusers:
        with suppress(OSError):  # not empty: the user's own configuration
            Path(layout.configuration).rmdir()
    return failures


def _remove(
    folders: Iterable[Path], accounts: Iterable[str], own: Folders, tell: Tell, managers: Path
) -> list[TqunitsError]:
    """An error in one worker's folder keeps only that worker's account. `managers`: the folder
    below which the manager may have put links in the place of folders."""
    failures: list[TqunitsError] = []
    for folder in folders:
        tell(FolderRemoval(folder))
        if folder.is_relative_to(managers):
            remove_file_for_root(folder)
        else:
            files.remove_tree(folder)
    for user in accounts:
        try:
            for folder in own.of(user):
                if writable.take_back(folder, user):
                    tell(FolderReturn(folder))
        except TqunitsError as error:
            failures.append(error)
        else:
            tell(UserRemoval(user))
            users.remove(user)
    return failures


def _is_further(folder: Path, worker: str) -> bool:
    whose = name.instance(folder.name)
    return whose is not None and whose.worker == worker and whose.number > 1


def _there(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in folders if folder.exists() or folder.is_symlink()]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _places(layout: Layout) -> tuple[Path, ...]:
    """The folders that contain a folder for each worker."""
    builds = (Path(layout.state) / "builds", Path(layout.cache) / "builds") if layout.sysusers else ()
    return (*_data(layout), *builds, *((Path(layout.state) / "releases",) if layout.sysusers else ()))


def _data(layout: Layout) -> tuple[Path, ...]:
    """The folders in which systemd makes a StateDirectory= and a CacheDirectory= for each worker.

    The user's own service manager has state below ~/.config up to version 253, and below
    ~/.local/state since (NEWS of 254).
    """
    states = [layout.state] if layout.sysusers else [layout.state, layout.configuration]
    return tuple(Path(folder) / "workers" for folder in (*states, layout.cache))


def _journals(layout: Layout) -> tuple[Path, ...]:
    """The journals of the access log's namespace."""
    return tuple(journal.folders_of(name.ACCESS_LOG)) if layout.sysusers else ()
