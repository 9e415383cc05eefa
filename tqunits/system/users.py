"""Unix users: systemd-sysusers makes them from a file of ours; they are looked up in the host's own
database.

A user is removed only when that was asked for: the next user with the same uid would own its files.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.model import (
    MANAGER_USER,
    PRIVILEGED_GROUPS,
    Worker,
    account_of,
    build_account_of,
    is_reserved_account,
    is_some_workers,
)
from tqunits.system.process import run
from tqunits.units import accounts
from tqunits.units.accounts import Database, User
from tqunits.units.refusal import Refusal

_MANAGERS = "tqunits manager"

_TIMEOUT_S = 60  # both wait for the lock of /etc/passwd, which useradd and others take


def create(path: Path) -> None:
    """Make the users and groups that this sysusers.d file names and that are missing.

    Raises TqunitsError with what systemd-sysusers says.
    """
    done = run(["systemd-sysusers", str(path)], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise TqunitsError(f"the users of {path} could not be made: {done.stderr.strip()}")


def create_alone(lines: Sequence[str]) -> None:
    """Make the users and groups in these lines of sysusers.d(5), before the file that contains them
    is written. Raises TqunitsError."""
    done = run(["systemd-sysusers", "--inline", *lines], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise TqunitsError(f"a user could not be made: {done.stderr.strip()}")


def exists(user: str) -> bool:
    """Whether the host knows this user."""
    return _account(user) is not None


def uid_of(user: str) -> int:
    """The uid of a user. Raises TqunitsError when there is no such user."""
    account = _account(user)
    if account is None:
        raise TqunitsError(f"there is no user {user}")
    return account.pw_uid


def group_of(user: str) -> int:
    """The gid of a user's own group. Raises TqunitsError when there is no such user."""
    account = _account(user)
    if account is None:
        raise TqunitsError(f"there is no user {user}")
    return account.pw_gid


def gid_of(group: str) -> int:
    """The gid of a group. Raises TqunitsError when there is no such group."""
    gid = _gid(group)
    if gid is None:
        raise TqunitsError(f"there is no group {group}")
    return gid


def refusals(workers: Collection[Worker], layout: Layout) -> tuple[Refusal, ...]:
    """What the workers ask of this host's accounts and may not have. Under a user's own manager
    there is one account only, that user's."""
    return accounts.refusals(workers, _database(workers), layout.state) if layout.sysusers else ()


def is_ours(user: str, state: PurePosixPath) -> bool:
    """Whether we made this worker's user; `state` is the layout's folder."""
    account = _account(user)
    return account is not None and accounts.is_ours(user, _user(account), state)


def is_ours_to_build(user: str) -> bool:
    """Whether we made this user, for builds."""
    account = _account(user)
    return account is not None and accounts.is_ours_to_build(user, _user(account))


def of_workers(state: PurePosixPath) -> tuple[str, ...]:
    """All users of ours. A worker that is gone, or has no process any more, may have left its
    user."""
    found = ((a.pw_name, _user(a)) for a in pwd.getpwall())
    return tuple(n for n, user in found if accounts.is_ours(n, user, state) or accounts.is_ours_to_build(n, user))


def of_before(state: PurePosixPath) -> tuple[str, ...]:
    """Those whose home the worker may write (units/accounts.py)."""
    return tuple(a.pw_name for a in pwd.getpwall() if accounts.is_of_before(a.pw_name, _user(a), state))


def rehome(worker: str) -> str | None:
    """Remove the home of an earlier release from worker-NAME. Returns the reason when that is
    impossible, or None.

    usermod(8) refuses a user with running processes. Afterwards the account is known as ours by its
    description and shell.
    """
    row = ["--home", accounts.NO_HOME, "--shell", accounts.NO_SHELL, "--comment", accounts.description_of(worker)]
    done = run(["usermod", *row, account_of(worker)], timeout_s=_TIMEOUT_S)
    return done.stderr.strip().removeprefix("usermod: ") if done.returncode else None


def is_managers_ours() -> bool:
    """Whether our sysusers.d file made the manager's user."""
    account = _account(MANAGER_USER)
    return account is not None and account.pw_gecos == _MANAGERS


def remove(user: str) -> None:
    """Remove a user and its own group; its files stay. Raises TqunitsError."""
    done = run(["userdel", user], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise TqunitsError(f"the user {user} could not be removed: {done.stderr.strip()}")
    if _gid(user) is not None:  # userdel(8) leaves a group that was not the user's own, or has other members
        run(["groupdel", user], timeout_s=_TIMEOUT_S)


def _database(workers: Collection[Worker]) -> Database:
    """The host's accounts, as far as they matter for these workers. All accounts are read only if a
    worker needs it."""
    own = {account_of(worker.name) for worker in workers}
    own |= {build_account_of(worker.name) for worker in workers if worker.build.command}
    named = own.union(*({worker.user, worker.group} for worker in workers))
    users = {name: _user(account) for name in named if (account := _account(name))}
    groups = {name: gid for name in named if (gid := _gid(name)) is not None}
    if named == own:
        return Database(users=users, groups=groups)
    return Database(
        users={a.pw_name: _user(a) for a in pwd.getpwall() if _is_kept(a.pw_name)} | users,
        groups={g.gr_name: g.gr_gid for g in grp.getgrall() if _is_kept(g.gr_name)} | groups,
    )


def _is_kept(name: str) -> bool:
    """Whether this account is one worker's, or one that no worker may have: no other name may stand
    for it."""
    return is_reserved_account(name) or is_some_workers(name) or name in PRIVILEGED_GROUPS


def _user(account: pwd.struct_passwd) -> User:
    return User(uid=account.pw_uid, home=account.pw_dir, description=account.pw_gecos, shell=account.pw_shell)


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None
