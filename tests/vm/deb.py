"""The .deb under test: what it needs, and a later version of it."""

import re
import shutil
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


def later(deb: Path, folder: Path) -> Path:
    """The same package as a later release, in a folder: every unit template and the code have
    changed."""
    tree, version = folder / "later", f"{version_of(deb)}+later"
    _run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    control = tree / "DEBIAN/control"
    control.write_text(re.sub("(?m)^Version: .*", f"Version: {version}", control.read_text(encoding="utf-8")))
    changed = [*tree.glob("usr/**/*.j2"), *tree.glob("usr/**/tqunits/__init__.py")]
    assert len(changed) > 1, f"{deb} has no templates"
    for path in changed:
        path.write_text(f"{path.read_text(encoding='utf-8')}# Release {version}\n", encoding="utf-8")
    made = folder / f"tqunits_{version}_amd64.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(made))
    shutil.rmtree(tree)
    return made


def _field(deb: Path, key: str) -> str:
    return _run("dpkg-deb", "--field", str(deb), key).strip()


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
