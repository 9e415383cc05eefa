"""Which accounts a worker may have.

A worker that is not root's (model.py, Worker.not_roots) is a request: it gets worker-NAME, whatever it asks for. One of
root's may name an account that the host has already; never root's, tqunits' own or another worker's, and under no other
name either: the kernel goes by the number. (config/check.py refuses the names themselves, without asking a host.)

worker-NAME is made by systemd-sysusers from our file. One that was there before is not taken over, for it may be a
person's. Ours is known by two things that only root can set (passwd(5)): a number of the system's, and the worker's
state for a home. So the host's own table is the record: it is there after an uninstall that has kept the data, and it
does not go by the description, which chfn(1) may let a person change.

The router joins the groups worker-NAME and no other. What a group may read, the router could be made to publish.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tqunits.errors import Diagnostic, Mark, Severity
from tqunits.model import (
    PRIVILEGED_GROUPS,
    Listen,
    Worker,
    WorkerType,
    account_of,
    is_reserved_account,
    is_some_workers,
)

FIRST_PERSON: Final = 1000
"""From here on a number may be a person's (systemd.io/UIDS-GIDS; login.defs(5), UID_MIN)."""

PASSING: Final = range(61184, 65520)
"""The numbers of DynamicUser= (systemd.exec(5)): whose such a one is, changes with what runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What counts of a user."""

    uid: int
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What the host knows: the accounts that workers name or own, and those that none of them may have."""

    users: Mapping[str, User]  # by name
    groups: Mapping[str, int]  # name -> gid


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a worker is not installed as it asks to be, and what helps."""

    worker: str
    message: str
    hint: str
    mark: Mark

    def diagnostic(self) -> Diagnostic:
        """As an install says it."""
        return Diagnostic(severity=Severity.ERROR, message=self.message, mark=self.mark, hint=self.hint)

    def note(self) -> Diagnostic:
        """As it is said to somebody who could not install it anyway."""
        message = f"an install by root refuses this: {self.message}"
        return Diagnostic(severity=Severity.NOTE, message=message, mark=self.mark, hint=self.hint)


def refusals(workers: Iterable[Worker], database: Database, state: PurePosixPath) -> tuple[Refusal, ...]:
    """Everything that these workers ask for and may not have; `state` is the layout's folder."""
    with_unit = (worker for worker in workers if worker.type is not WorkerType.STATIC)
    return tuple(refusal for worker in with_unit for refusal in _refusals(worker, database, state))


def needs_own(worker: Worker) -> bool:
    """Whether worker-NAME has to be there: to run as, or for the router to reach its socket."""
    return account_of(worker.name) in {worker.user, worker.group} or worker.listen is not Listen.TCP


def is_ours(name: str, user: User, state: PurePosixPath) -> bool:
    """Whether tqunits has made this user."""
    home = str(home_of(name.removeprefix(account_of("")), state))
    return is_some_workers(name) and 0 < user.uid < FIRST_PERSON and user.home == home


def home_of(worker: str, state: PurePosixPath) -> PurePosixPath:
    """The home of worker-NAME: its state, which systemd makes."""
    return state / "workers" / worker


def _refusals(worker: Worker, database: Database, state: PurePosixPath) -> Iterator[Refusal]:
    if worker.not_roots is not None:
        yield from _of_a_request(worker, worker.not_roots)
    else:
        yield from _user(worker, database.users)
        yield from _group(worker, database)
        yield from _socket(worker)
    if needs_own(worker):
        yield from _own(worker, database, state)


def _of_a_request(worker: Worker, not_roots: PurePosixPath) -> Iterator[Refusal]:
    own = account_of(worker.name)
    asked = {"user": worker.user} if worker.group == worker.user else {"user": worker.user, "group": worker.group}
    for key, account in asked.items():
        if account != own:
            message = f"{key}: {account} is not the worker's own, and the worker is not root's"
            yield _refusal(worker, key, message, f"leave it out, or {_for_root(worker, not_roots)}")


def _for_root(worker: Worker, not_roots: PurePosixPath) -> str:
    """What makes the worker root's. What lies above its folder is not only the worker's, so no command is given."""
    if not_roots.is_relative_to(worker.folder):
        return f"give the worker to root: chown -R root: {not_roots} && chmod -R go-w {not_roots}"
    return f"keep the worker where root alone may write: others may in {not_roots}"


def _user(worker: Worker, users: Mapping[str, User]) -> Iterator[Refusal]:
    name = worker.user
    if name == account_of(worker.name):
        return
    if name not in users:
        hint = f"leave it out, or make it: useradd --system {name}"
        yield _refusal(worker, "user", f"user: there is no user {name} on this host", hint)
        return
    uid = users[name].uid
    reserved = {
        other: user.uid for other, user in users.items() if is_reserved_account(other) or is_some_workers(other)
    }
    yield from _number(worker, "user", name, uid, {"root": 0, **reserved})


def _group(worker: Worker, database: Database) -> Iterator[Refusal]:
    name = worker.group
    if name == account_of(worker.name) or (name == worker.user and name not in database.users):
        return  # what is wrong with a user that is not there has been said
    if name not in database.groups:
        hint = f"write a group that there is, or make it: groupadd --system {name}"
        yield _refusal(worker, "group", f"group: there is no group {name} on this host", hint)
        return
    groups = database.groups.items()
    reserved = {g: n for g, n in groups if is_reserved_account(g) or is_some_workers(g) or g in PRIVILEGED_GROUPS}
    yield from _number(worker, "group", name, database.groups[name], {"root": 0, **reserved})


def _number(worker: Worker, key: str, name: str, number: int, reserved: Mapping[str, int]) -> Iterator[Refusal]:
    """The names are right; but the kernel knows numbers alone."""
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
    user, gid = database.users.get(own), database.groups.get(own)
    made_by_us = is_ours(own, user, state) if user is not None else gid is None
    if not made_by_us or (gid is not None and not 0 < gid < FIRST_PERSON):
        what, remove = ("user", "userdel") if user is not None else ("group", "groupdel")
        message = f"there is a {what} {own}, which tqunits has not made"
        yield _refusal(worker, what, message, f"rename the worker's folder, or, if nobody needs it: {remove} {own}")


def _refusal(worker: Worker, key: str, message: str, hint: str) -> Refusal:
    """At what was written; a group that was not is the user's, and what nobody wrote is at the top of the file."""
    origins = (worker.origins.get(at) for at in (key, "user"))
    marks = (origin.mark for origin in origins if origin is not None and origin.mark is not None)
    return Refusal(worker=worker.name, message=message, hint=hint, mark=next(marks, Mark(str(worker.source), 1, 1)))
