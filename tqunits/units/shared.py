"""The files that all workers share, without workers that leave, and with workers that stay unasked.

`uninstall NAME` reads no YAML to render these files anew. A router whose SupplementaryGroups= names
a group that is gone does not start (systemd.exec(5), exit status 216/GROUP), and systemd-sysusers
makes every account of sysusers.d again at the next boot.

A folder that has vanished is no order to stop serving: the mount may be missing, the deploy half
done. Until the worker is removed it keeps its account and the router's way to its socket. Where
nothing else has changed, the file is left as it lies there: `before`, to the letter.
"""

from __future__ import annotations

from collections.abc import Collection

from tqunits.model import account_of, build_account_of
from tqunits.units import unitfile

_GROUPS = "SupplementaryGroups="


def accounts_of(drop_in: str) -> frozenset[str]:
    """The user and group that a worker's drop-in names, its own, by which the router gets in, and
    its builds'."""
    named = [unitfile.last_value(drop_in, "Service", directive) for directive in ("User", "Group")]
    ledger = unitfile.ledger(drop_in)
    own = (account_of(ledger.worker), build_account_of(ledger.worker)) if ledger else ()
    return frozenset(value for value in (*named, *own) if value)


def without_groups(unit: str, groups: Collection[str]) -> str:
    """The router's unit without these groups; the directive goes with its last one."""
    lines = (_without_words(line, groups) if line.startswith(_GROUPS) else line for line in unit.splitlines())
    return "".join(f"{line}\n" for line in lines if line != _GROUPS)


def with_groups(unit: str, before: str, groups: Collection[str]) -> str:
    """The router's unit, and those of the groups that it had before; a second [Service] adds to the
    first."""
    known = _groups(unit)
    kept = [group for group in _groups(before) if group in groups and group not in known]
    if not kept or without_groups(before, kept) == unit:
        return before if kept else unit
    return f"{unit}\n[Service]\n{_GROUPS}{' '.join(kept)}\n"


def without_accounts(sysusers: str, accounts: Collection[str]) -> str:
    """Our sysusers.d file without these users and groups: each line is a type, a name and more
    (sysusers.d(5))."""
    return "".join(line for line in sysusers.splitlines(keepends=True) if _account(line) not in accounts)


def lines_of(sysusers: str, accounts: Collection[str]) -> tuple[str, ...]:
    """The lines of a sysusers.d file that are about these accounts."""
    return tuple(line for line in sysusers.splitlines() if _account(line) in accounts)


def with_accounts(sysusers: str, before: str, accounts: frozenset[str]) -> str:
    """The sysusers.d file, and the lines for those of the accounts that it had before."""
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
