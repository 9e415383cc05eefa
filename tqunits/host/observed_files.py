"""Which of our files lie on the host. Read-only, and without a service manager."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from tqunits.errors import TqunitsError
from tqunits.host import this_host
from tqunits.layout import Layout
from tqunits.units import credentials, name, polkit_rule
from tqunits.units.observed import ObservedFile


def observe_files(layout: Layout, wanted: Iterable[PurePosixPath] = ()) -> Mapping[PurePosixPath, ObservedFile]:
    """Every file of ours, and every file in the place of one that we want to write."""
    units = Path(layout.units)
    found = {PurePosixPath(p) for p in units.glob("tq[-.]*") if p.is_file()}
    found |= {PurePosixPath(p) for p in units.glob("run-tqunits-workers-*.mount") if p.is_file()}
    found |= {PurePosixPath(p) for p in units.glob("tq-*.d/10-tqunits.conf")}
    if layout.sysusers:
        found |= {PurePosixPath(p) for p in Path(layout.sysusers).glob("tqunits*.conf")}
    if layout.polkit and this_host.has_polkit(layout):
        found.add(layout.polkit / polkit_rule.FILE)
    found |= {layout.routes, layout.ledger, name.access_journal(layout.units), *wanted}
    return _observed(found)


def observe_sockets(layout: Layout) -> Mapping[PurePosixPath, ObservedFile]:
    """The same for the router's sockets only."""
    return _observed(PurePosixPath(path) for path in Path(layout.units).glob("tq-proxy*.socket"))


def observe_copies(layout: Layout) -> Mapping[PurePosixPath, ObservedFile] | None:
    """The copies of the files that workers' YAML names. They are root's; None without the right to
    read them."""
    try:
        paths = [path for worker in _entries(Path(credentials.folder(layout.state))) for path in _entries(worker)]
        return _observed(PurePosixPath(path) for path in paths if not path.name.startswith("."))
    except PermissionError:
        return None


def modified_us(status: os.stat_result) -> int:
    """When a file was written, in µs since 1970. Any user can set an mtime, and nobody a ctime."""
    return min(status.st_mtime_ns, status.st_ctime_ns) // 1000


def unit_file_states(units: Path) -> Mapping[str, str]:
    """Unit -> "enabled" or "masked", from the links that systemctl makes (systemctl(1), enable and
    mask).

    To ask the service manager (GetUnitFileState) takes milliseconds for each unit, and needs a
    service manager.
    """
    enabled = {link.name: "enabled" for link in units.glob("*.wants/tq[-.]*")}
    masked = {link.name: "masked" for link in units.glob("tq[-.]*") if link.is_symlink() and _is_null(link)}
    return enabled | masked


def _observed(paths: Iterable[PurePosixPath]) -> Mapping[PurePosixPath, ObservedFile]:
    observed = ((path, _observe_file(Path(path))) for path in sorted(paths))
    return {path: file for path, file in observed if file is not None}


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_null(link: Path) -> bool:
    return str(link.readlink()) == "/dev/null"


def _observe_file(path: Path) -> ObservedFile | None:
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISCHR(found.st_mode)):  # a masked unit is a link to /dev/null
            raise TqunitsError(f"{path} is not a regular file")  # opening a FIFO would block for ever
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return ObservedFile(content=content.decode("utf-8", "surrogateescape"), modified=modified_us(found))
