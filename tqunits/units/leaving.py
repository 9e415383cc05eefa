"""The files that all workers share, without workers that leave: `uninstall NAME` reads no YAML to render them anew.

A router whose SupplementaryGroups= names a group that is gone does not start (systemd.exec(5), exit status 216/GROUP),
and systemd-sysusers makes every account of sysusers.d again at the next boot.
"""

from __future__ import annotations

from collections.abc import Collection

_GROUPS = "SupplementaryGroups="


def without_groups(unit: str, groups: Collection[str]) -> str:
    """The router's unit without these groups; the directive goes with its last one."""
    lines = (_without_words(line, groups) if line.startswith(_GROUPS) else line for line in unit.splitlines())
    return "".join(f"{line}\n" for line in lines if line != _GROUPS)


def without_accounts(sysusers: str, accounts: Collection[str]) -> str:
    """Our sysusers.d file without these users and groups: each line is a type, a name and more (sysusers.d(5))."""
    return "".join(line for line in sysusers.splitlines(keepends=True) if _account(line) not in accounts)


def _without_words(line: str, groups: Collection[str]) -> str:
    words = line.removeprefix(_GROUPS).split()
    return _GROUPS + " ".join(word for word in words if word not in groups)


def _account(line: str) -> str | None:
    kind, *rest = line.split(maxsplit=2) or [""]
    return rest[0] if kind in {"u", "g"} and rest else None
