"""Which accounts a worker may run as.

A worker runs as worker-NAME; or, where root says so (in a worker.yaml of root's, or by a grant:
grants.py), as an account that the host already has. It never gets root's account, one of tqunits or
another worker's, and none with the same uid or gid, because the kernel only knows numbers.
(config/cross_checks.py refuses the names themselves, without looking at a host.)

systemd-sysusers makes worker-NAME from our file. An account of that name that was there before is
not taken over, because it may be a person's or another package's. Ours is known by its whole entry
(passwd(5)), as our file makes it: a uid of the system's range, no home, no login shell, and the
description `tqunits worker NAME`. So the record is the host's own table, which only root can write,
and which stays after an uninstall that keeps the data. The description alone would prove nothing:
chfn(1) may let a person change it; but a person has a home and a shell.

Earlier releases made the worker's state folder its home; such accounts are still known as ours. But
sshd(8) looks for keys in a home, and forwards ports for any account that has one, with or without a
shell. So install removes the home (host/plan.py, Rehome).

The router joins the groups worker-NAME and no others: it could be made to publish what its groups
may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import (
    PRIVILEGED_GROUPS,
    Listen,
    Worker,
    WorkerType,
    account_of,
    build_account_of,
    is_reserved_account,
    is_some_workers,
)
from tqunits.units import build_units
from tqunits.units.refusal import Refusal, refusal

FIRST_PERSON: Final = 1000
"""Accounts of people may begin at this uid (systemd.io/UIDS-GIDS; login.defs(5), UID_MIN)."""

PASSING: Final = range(61184, 65520)
"""The uids of DynamicUser= (systemd.exec(5)). They pass from one unit to another."""


NO_HOME: Final = "/nonexistent"
"""The home of an account without one (Debian policy, 9.2.3)."""

NO_SHELL: Final = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The fields of a user that we look at (passwd(5))."""

    uid: int
    home: str
    description: str = ""
    shell: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The host's accounts: those that workers name or own, and those that no worker may have."""

    users: Mapping[str, User]  # by name
    groups: Mapping[str, int]  # name -> gid


def refusals(workers: Iterable[Worker], database: Database, state: PurePosixPath) -> tuple[Refusal, ...]:
    """Everything about accounts that these workers ask for and may not have. `state` is the
    layout's folder."""
    with_unit = (worker for worker in workers if worker.type is not WorkerType.STATIC)
    reserved = _reserved(database)
    return tuple(refusal for worker in with_unit for refusal in _refusals(worker, database, reserved, state))


def needs_own(worker: Worker) -> bool:
    """Whether worker-NAME must exist: because the worker runs as it, or because the router needs it
    to reach the socket."""
    return account_of(worker.name) in {worker.user, worker.group} or worker.listen is not Listen.TCP


def is_ours(name: str, user: User, state: PurePosixPath) -> bool:
    """Whether tqunits has made this user."""
    worker = name.removeprefix(account_of(""))
    as_today = (user.home, user.description, user.shell) == (NO_HOME, description_of(worker), NO_SHELL)
    return _is_of_the_system(name, user) and (as_today or user.home == str(state_of(worker, state)))


def is_of_before(name: str, user: User, state: PurePosixPath) -> bool:
    """Whether an earlier release has made this user, with a home that the worker can write."""
    return _is_of_the_system(name, user) and user.home == str(state_of(name.removeprefix(account_of("")), state))


def is_ours_to_build(name: str, user: User) -> bool:
    """Whether tqunits has made this user for builds. It has no folder of its own, so the
    description decides."""
    worker = name.removeprefix(build_account_of(""))
    described = user.home == build_units.HOME and user.description == build_units.description_of(worker)
    return name.startswith(build_account_of("")) and 0 < user.uid < FIRST_PERSON and described


def description_of(worker: str) -> str:
    """The description (GECOS) of a worker's account."""
    return f"tqunits worker {worker}"


def state_of(worker: str, state: PurePosixPath) -> PurePosixPath:
    """The state folder of a worker, which systemd makes. It is HOME for the worker's process."""
    return state / "workers" / worker


def _is_of_the_system(name: str, user: User) -> bool:
    return is_some_workers(name) and 0 < user.uid < FIRST_PERSON


@dataclass(frozen=True, slots=True)
class _Reserved:
    """Accounts which no worker, or only one, may have: name -> number."""

    users: Mapping[str, int]
    groups: Mapping[str, int]


def _reserved(database: Database) -> _Reserved:
    users, groups = database.users.items(), database.groups.items()
    uids = {u: user.uid for u, user in users if is_reserved_account(u) or is_some_workers(u)}
    gids = {g: gid for g, gid in groups if is_reserved_account(g) or is_some_workers(g) or g in PRIVILEGED_GROUPS}
    return _Reserved({"root": 0, **uids}, {"root": 0, **gids})


def _refusals(worker: Worker, database: Database, reserved: _Reserved, state: PurePosixPath) -> Iterator[Refusal]:
    yield from _user(worker, database.users, reserved.users)
    yield from _group(worker, database, reserved.groups)
    yield from _socket(worker)
    if needs_own(worker):
        yield from _own(worker, database, state)
    if worker.build.command:
        yield from _builds(worker, database)


def _user(worker: Worker, users: Mapping[str, User], reserved: Mapping[str, int]) -> Iterator[Refusal]:
    name = worker.user
    if name == account_of(worker.name):
        return
    if name not in users:
        hint = f"leave it out, or make it: useradd --system {name}"
        yield _refusal(worker, "user", f"user: there is no user {name} on this host", hint)
        return
    yield from _number(worker, "user", name, users[name].uid, reserved)


def _group(worker: Worker, database: Database, reserved: Mapping[str, int]) -> Iterator[Refusal]:
    name = worker.group
    if name == account_of(worker.name) or (name == worker.user and name not in database.users):
        return  # a missing user has been reported already
    if name not in database.groups:
        hint = f"write a group that there is, or make it: groupadd --system {name}"
        yield _refusal(worker, "group", f"group: there is no group {name} on this host", hint)
        return
    yield from _number(worker, "group", name, database.groups[name], reserved)


def _number(worker: Worker, key: str, name: str, number: int, reserved: Mapping[str, int]) -> Iterator[Refusal]:
    """Refuse another name for a reserved account: the kernel only knows numbers."""
    own = account_of(worker.name)
    same = next((other for other, its in reserved.items() if its == number and other not in {name, own}), None)
    hint = "leave it out: the worker gets one of its own"
    if same is not None:
        yield _refusal(worker, key, f"{key}: {name} is {same} under another name", hint)
    elif number in PASSING:
        yield _refusal(worker, key, f"{key}: {name} is a service's own while that runs (DynamicUser=)", hint)


def _socket(worker: Worker) -> Iterator[Refusal]:
    own = account_of(worker.name)
    if worker.listen is Listen.UNIX and worker.group != own:
        message = f"group: the router joins no group but {own}, so a Unix socket of {worker.group} is out of its reach"
        hint = f"write `group: {own}`, `listen: tcp` or `listen: fd`"
        yield _refusal(worker, "group", message, hint)


def _own(worker: Worker, database: Database, state: PurePosixPath) -> Iterator[Refusal]:
    own = account_of(worker.name)
    user = database.users.get(own)
    yield from _made(worker, own, database, "", made=user is not None and is_ours(own, user, state))


def _builds(worker: Worker, database: Database) -> Iterator[Refusal]:
    own = build_account_of(worker.name)
    user = database.users.get(own)
    made = user is not None and is_ours_to_build(own, user)
    yield from _made(worker, own, database, " for builds", "build.command", made=made)


def _made(worker: Worker, own: str, database: Database, purpose: str, *keys: str, made: bool) -> Iterator[Refusal]:
    """An account that exists already must be one of ours; a group without a user never is."""
    has_user, gid = own in database.users, database.groups.get(own)
    made_by_us = made if has_user else gid is None
    if not made_by_us or (gid is not None and not 0 < gid < FIRST_PERSON):
        what, remove = ("user", "userdel") if has_user else ("group", "groupdel")
        message = f"there is a {what} {own}, which tqunits has not made{purpose}"
        hint = f"rename the worker's folder, or, if nobody needs it: {remove} {own}"
        yield refusal(worker, message, hint, *(keys or (what, "user")))


def _refusal(worker: Worker, key: str, message: str, hint: str) -> Refusal:
    """A refusal at this key, or at `user` where only that is written: then the group is the
    user's."""
    return refusal(worker, message, hint, key, "user")
