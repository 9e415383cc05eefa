"""The .deb under test: its dependencies, a later version of it, and one whose maintainer scripts
kill dpkg."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tqunits import __version__

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build/deb"
LATER = f"{__version__}+later"
KILLED = "/run/kill-dpkg"
"""A script of a `mortal` package removes this file and kills its dpkg, at the moment that the file
names: `postinst start`, `prerm end`."""

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
DEPENDENCIES = ("Pre-Depends", "Depends", "Recommends")


def built(suite: str) -> Path:
    """The package as `make deb` has built it."""
    made = sorted((BUILT / suite).glob("tqunits_*.deb"), key=lambda path: path.stat().st_mtime)
    if not made:
        pytest.fail(f"no package for {suite}: make deb SUITE={suite}", pytrace=False)
    return made[-1]


def needed(control: str) -> list[str]:
    """The packages that a relationship field names (deb-control(5), deb-version(7)): the first of
    alternatives, without versions."""
    first = (relation.partition("|")[0].strip() for relation in control.split(","))
    names = (re.match(r"[a-z0-9][a-z0-9+.-]*", relation) for relation in first)
    return [name.group() for name in names if name]


def needed_by(deb: Path) -> list[str]:
    return [name for key in DEPENDENCIES for name in needed(_field(deb, key))]


def version_of(deb: Path) -> str:
    return _field(deb, "Version")


def later(deb: Path, folder: Path) -> Path:
    """The same package as a later release, in a folder: every unit template has changed, and so
    have the comments in tqunits.yaml; the code contains LATER."""
    version = f"{version_of(deb)}+later"

    def change(tree: Path) -> None:
        control = tree / "DEBIAN/control"
        control.write_text(re.sub("(?m)^Version: .*", f"Version: {version}", control.read_text(encoding="utf-8")))
        (tree / "etc/tqunits/tqunits.yaml").open("a").write(f"# Release {version}\n")
        templates, (code,) = [*tree.glob("usr/**/*.j2")], tree.glob("usr/**/tqunits/__init__.py")
        assert templates
        for path in templates:
            sign = "//" if path.name.endswith(".rules.j2") else "#"  # polkit refuses all of a rule with a mistake
            path.write_text(f"{path.read_text(encoding='utf-8')}{sign} Release {version}\n", encoding="utf-8")
        text = code.read_text(encoding="utf-8")
        assert f'"{__version__}"' in text, f"{deb} is of another release than the checkout"
        code.write_text(text.replace(f'"{__version__}"', f'"{LATER}"'), encoding="utf-8")

    return _repacked(deb, folder / f"tqunits_{version}.deb", change)


def mortal(deb: Path, folder: Path) -> Path:
    """The same package with scripts that kill their dpkg at a given moment."""

    def change(tree: Path) -> None:
        for name in SCRIPTS:
            _make_mortal(tree / "DEBIAN" / name)

    return _repacked(deb, folder / deb.name, change)


def repository(folder: Path, home: Path) -> str:
    """Put the built packages into an apt repository in a folder; gives the output.

    The key is kept below `home`.
    """
    return _run(str(ROOT / "packaging/repository"), str(folder), XDG_DATA_HOME=str(home))


def _make_mortal(script: Path) -> None:
    """dpkg is the parent of its scripts."""
    head, _, body = (script.read_text() if script.exists() else "#!/bin/sh\nset -e\n").partition("\n")
    die = f"""die() {{
    [ "$(cat {KILLED} 2>/dev/null)" != "{script.name} $1" ] || {{ rm {KILLED}; kill -9 $PPID; exit 1; }}
}}
die start
trap 'die end' EXIT
"""
    script.write_text(f"{head}\n{die}{body}")
    script.chmod(0o755)


def _repacked(deb: Path, made: Path, change: Callable[[Path], None]) -> Path:
    tree = made.with_suffix(".tree")
    _run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    change(tree)
    _run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(made))
    shutil.rmtree(tree)
    return made


def _field(deb: Path, key: str) -> str:
    return _run("dpkg-deb", "--field", str(deb), key).strip()


def _run(*argv: str, **environment: str) -> str:
    env = {**os.environ, **environment}
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout
