"""The .deb under test: what it needs, and a later version of it."""

import re
import subprocess
from pathlib import Path

DEPENDENCIES = ("Pre-Depends", "Depends", "Recommends")


def needed(control: str) -> list[str]:
    """The packages that a relationship field names (deb-control(5), deb-version(7)): of
    alternatives the first, without versions."""
    first = (relation.partition("|")[0].strip() for relation in control.split(","))
    names = (re.match(r"[a-z0-9][a-z0-9+.-]*", relation) for relation in first)
    return [name.group() for name in names if name]


def needed_by(deb: Path) -> list[str]:
    return [name for key in DEPENDENCIES for name in needed(_field(deb, key))]


def version_of(deb: Path) -> str:
    return _field(deb, "Version")


def _field(deb: Path, key: str) -> str:
    return _run("dpkg-deb", "--field", str(deb), key).strip()


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
