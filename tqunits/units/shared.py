"""The files that all workers share: without the workers that are removed, and with those that stay
although they are not rendered.

`uninstall NAME` reads no YAML that it could render these files from. A router whose
SupplementaryGroups= names a missing group does not start (systemd.exec(5), exit status 216/GROUP),
and at the next boot systemd-sysusers makes every account that is still in sysusers.d.

A folder that has vanished does not mean that the worker must stop: a mount may be missing, or a
deploy half done. Until the worker is removed, it keeps its account and the router's access to its
socket. If nothing else has changed, the file is returned exactly as it is installed (`before`).

A run that nobody watches takes nothing away from the router and the manager either: whoever may
write one worker.yaml could switch `listen` to and fro, and each time both would be restarted.
"""

from __future__ import annotations

from collections.abc import Collection

from tqunits.model import account_of, build_account_of
from tqunits.units import unitfile

_GROUPS = "SupplementaryGroups="
_FOLDERS = (("ProtectHome=yes", "ProtectHome=read-only"), ("PrivateTmp=yes", "PrivateTmp=no"))


def accounts_of(drop_in: str) -> frozenset[str]:
    """The accounts in a worker's drop-in: its user and group, the group by which the router reaches
    its socket, and its builds' account."""
    named = [unitfile.last_value(drop_in, "Service", directive) for directive in ("User", "Group")]
    ledger = unitfile.ledger(drop_in)
    own = (account_of(ledger.worker), build_account_of(ledger.worker)) if ledger else ()
    return frozenset(value for value in (*named, *own) if value)


def without_groups(unit: str, groups: Collection[str]) -> str:
    """The router's unit without these groups. With the last group the directive is removed."""
    lines = (_without_words(line, groups) if line.startswith(_GROUPS) else line for line in unit.splitlines())
    return "".join(f"{line}\n" for line in lines if line != _GROUPS)


def with_groups(unit: str, before: str, groups: Collection[str]) -> str:
    """The router's unit with those of the groups that it had before. They go to a second [Service]
    section, which adds to the first."""
    known = _groups(unit)
    kept = [group for group in _groups(before) if group in groups and group not in known]
    if not kept or without_groups(before, kept) == unit:
        return before if kept else unit
    return f"{unit}\n[Service]\n{_GROUPS}{' '.join(kept)}\n"


def with_open_folders(unit: str, before: str) -> str:
    """The unit of the router, or of the manager, whose sandbox shows the folders that it showed
    before."""
    for closed, opened in _FOLDERS:
        if f"\n{opened}\n" in before:
            unit = unit.replace(f"\n{closed}\n", f"\n{opened}\n")
    return unit


def without_accounts(sysusers: str, accounts: Collection[str]) -> str:
    """Our sysusers.d file without these users and groups. Each line is a type, a name and more
    (sysusers.d(5))."""
    return "".join(line for line in sysusers.splitlines(keepends=True) if _account(line) not in accounts)


def lines_of(sysusers: str, accounts: Collection[str]) -> tuple[str, ...]:
    """The lines of a sysusers.d file that are about these accounts."""
    return tuple(line for line in sysusers.splitlines() if _account(line) in accounts)


def with_accounts(sysusers: str, before: str, accounts: frozenset[str]) -> str:
    """The sysusers.d file with the lines of those accounts that it had before."""
    left = accounts - {_account(line) for line in sysusers.splitlines()}
    if without_accounts(before, left) == sysusers:
        return before
    return sysusers + "".join(line for line in before.splitlines(keepends=True) if _account(line) in left)


def _groups(unit: str) -> list[str]:
    return [g for line in unit.splitlines() if line.startswith(_GROUPS) for g in line.removeprefix(_GROUPS).split()]


def _without_words(line: str, groups: Collection[str]) -> str:
    words = line.removeprefix(_GROUPS).split()
    return _GROUPS + " ".join(word for word in words if word not in groups)


def _account(line: str) -> str | None:
    kind, *rest = line.split(maxsplit=2) or [""]
    return rest[0] if kind in {"u", "g"} and rest else None
