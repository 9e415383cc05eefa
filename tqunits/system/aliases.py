"""systemd's own names of units: sshd.service is ssh.service (systemd.unit(5), aliases).

An alias is a link in one of the unit folders to a file of another name. systemd loads the unit
under the name of that file, and accepts all its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDERS: Final[Sequence[Path]] = tuple(
    map(
        Path,
        (
            "/etc/systemd/system.control",
            "/run/systemd/system.control",
            "/run/systemd/transient",
            "/run/systemd/generator.early",
            "/etc/systemd/system",
            "/run/systemd/system",
            "/run/systemd/generator",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
            "/run/systemd/generator.late",
        ),
    )
)
"""The folders in which the system's manager looks, in its order (systemd.unit(5), UNIT FILE LOAD
PATH)."""

_MOST_LINKS = 16


def canonical_names(units: Iterable[str]) -> Mapping[str, str]:
    """Each of these names -> the unit's own name. For a unit that does not exist the name
    itself."""
    return {unit: in_folders(unit) for unit in units}


def in_folders(unit: str, folders: Sequence[Path] = FOLDERS) -> str:
    """The unit's own name, by the links in these folders."""
    for _ in range(_MOST_LINKS):
        after = _linked(unit, folders)
        if after in (None, unit):
            break
        unit = after or unit
    return unit


def _linked(unit: str, folders: Sequence[Path]) -> str | None:
    """The name that a link of this name leads to. For a template's link it contains the
    instance."""
    stem, dot, suffix = unit.rpartition(".")
    template, at, instance = stem.partition("@")
    names = [unit, f"{template}@{dot}{suffix}"] if at and instance else [unit]
    for name in names:
        paths = (folder / name for folder in folders)
        path = next((path for path in paths if path.is_symlink() or path.exists()), None)
        if path is not None:
            return _named(path, instance if at else "") if path.is_symlink() else None
    return None


def _named(link: Path, instance: str) -> str | None:
    """The unit that a link is an alias of. A link to /dev/null masks the unit and is no alias."""
    stem, dot, suffix = link.readlink().name.rpartition(".")
    if not stem or suffix != link.suffix.removeprefix("."):
        return None
    return f"{stem}{instance}{dot}{suffix}" if stem.endswith("@") else f"{stem}{dot}{suffix}"
