"""The host that units are rendered for: the version of its systemd, and how it runs our own
programs."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import tqunits
from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.model import Host
from tqunits.system.process import run

OLDEST = 252
"""Debian 12's: the oldest systemd whose directives and behaviour we render for and test on."""

_PACKAGE = Path(tqunits.__file__).resolve().parent
_CODE = (".py", ".so")
_PACKAGED = Path("/usr/bin/tqunits")
_PACKAGED_ALONE = Path("/usr/lib/tqunits")


def current(layout: Layout, *, user_mode: bool, code: str | None = None) -> Host:
    """This host. Raises TqunitsError when its systemd is missing or too old.

    `code`: the fingerprint, for callers that have it or write no unit. To compute it, the whole
    package is read.
    """
    return Host(
        systemd=systemd_version(),
        layout=layout,
        user_mode=user_mode,
        program=_program(_PACKAGE),
        alone=_alone(_PACKAGE),
        code=fingerprint() if code is None else code,
        has_polkit=has_polkit(layout),
    )


def has_polkit(layout: Layout) -> bool:
    """Whether polkit's rules are on this host, and may be read: Debian's folder is root's and
    polkit's alone, so for everybody else the rule counts as what it should be."""
    return layout.polkit is not None and os.access(layout.polkit, os.R_OK | os.X_OK)


def systemd_version() -> int:
    """The major version, from `systemctl --version`."""
    try:
        words = run(["systemctl", "--version"]).stdout.split()
    except FileNotFoundError:
        words = []
    if len(words) < 2 or not words[1].isdigit():
        raise TqunitsError("there is no systemd on this host", hint="tqunits needs systemd 252 or newer")
    version = int(words[1])
    if version < OLDEST:
        raise TqunitsError(f"systemd {version} is too old", hint=f"tqunits needs systemd {OLDEST} or newer")
    return version


def fingerprint(package: Path = _PACKAGE) -> str:
    """A fingerprint of all code that a router process runs: the Python interpreter and every file
    of the package.

    It depends on the content of the files, not on their times: if the same release is unpacked
    again, nothing is restarted. The programs in workers' units are left out, because each start
    executes them anew.
    """
    found = list(_sources(package))
    found += package.parent.glob(f"{package.name}__mypyc*.so")
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(found):
        with suppress(FileNotFoundError):  # a dangling link of an editor, or a file that is just being replaced
            content = file.read_bytes()
            digest.update(f"\0{file.relative_to(package.parent)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _sources(package: Path) -> Iterator[Path]:
    """The files of the package, without Python's byte code, which comes and goes at any time."""
    for folder, below, names in os.walk(package):
        below[:] = [name for name in below if name not in {"__pycache__", "alone"}]
        yield from (Path(folder) / name for name in names if Path(name).suffix in _CODE)


def _alone(package: Path) -> PurePosixPath:
    """A Debian package has these programs in a folder of their own, whose path stays the same with
    another Python."""
    return PurePosixPath(_PACKAGED_ALONE if _is_packaged(package) else package / "alone")


def _is_packaged(package: Path) -> bool:
    return package.is_relative_to("/usr/lib/python3") and _PACKAGED.exists()


def _program(package: Path) -> tuple[str, ...]:
    """The packaged command, if the distribution's own Python finds the package; otherwise this
    interpreter."""
    if _is_packaged(package):
        return (str(_PACKAGED),)
    return (sys.executable, "-I", "-m", "tqunits")
