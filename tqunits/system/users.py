"""Unix users: made by systemd-sysusers from a file of ours, looked up in the host's own database.

Removing one is never done by the way: a user id that is given away again would own the files of who had it before.
"""

from __future__ import annotations

import pwd
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.model import MANAGER_USER
from tqunits.system.process import run

OURS = "tqunits worker "
"""How the description (GECOS) of every worker's user begins that our sysusers.d file makes."""

_MANAGERS = "tqunits manager"

_TIMEOUT_S = 60  # both wait for the lock of /etc/passwd, which useradd and others take


def create(path: Path) -> None:
    """Make the users and groups that this sysusers.d file names and that are missing.

    Raises TqunitsError with what systemd-sysusers says.
    """
    done = run(["systemd-sysusers", str(path)], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise TqunitsError(f"the users of {path} could not be made: {done.stderr.strip()}")


def exists(user: str) -> bool:
    """Whether the host knows this user."""
    return _account(user) is not None


def is_ours(user: str) -> bool:
    """Whether our sysusers.d file made this user: a system user called worker-NAME, described as such."""
    account = _account(user)
    return account is not None and user.startswith("worker-") and account.pw_gecos.startswith(OURS)


def of_workers() -> tuple[str, ...]:
    """All users that are ours; a worker that is gone, or that needs no process any more, may have left its own."""
    return tuple(account.pw_name for account in pwd.getpwall() if is_ours(account.pw_name))


def is_managers_ours() -> bool:
    """Whether our sysusers.d file made the manager's user."""
    account = _account(MANAGER_USER)
    return account is not None and account.pw_gecos == _MANAGERS


def remove(user: str) -> None:
    """Remove a user and its own group; its files stay. Raises TqunitsError."""
    done = run(["userdel", user], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise TqunitsError(f"the user {user} could not be removed: {done.stderr.strip()}")


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None
