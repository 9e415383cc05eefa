"""Makes what Debian's own tools can not: the C sources of the router, and inotify-simple.

    python packaging/c_sources.py

Run in the root of a tree, with an environment that has packaging/build-requirements.txt. It makes
the folder `generated` there, from which setup.py builds without mypyc: Debian 12 and 13 have none
that is new enough, and a source package has to be built without the network. The same tree gives
the same files.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from setup import GENERATED, from_python  # noqa: E402 - it lies in the root

LICENCES = {"mypy": "LICENSE.mypy", "inotify_simple": "LICENSE.inotify_simple"}
"""The licences of what is taken along, by the package that has them. debian/copyright says so."""


def main() -> None:
    """Make the folder, in the place of the one that is there."""
    target = ROOT / GENERATED
    shutil.rmtree(target, ignore_errors=True)
    with TemporaryDirectory(dir=ROOT, prefix=".generated-") as folder:
        made = Path(folder)
        _generate(made)
        take_library(made / "lib-rt")
        _take_private(made)
        made.chmod(0o755)
        shutil.copytree(made, target)


def _generate(made: Path) -> None:
    """mypyc writes below `build`, and leaves its notes there. What it has copied of its own library
    keeps the folder by which debian/copyright knows it."""
    from_python()
    built = ROOT / "build"
    for file in sorted(built.rglob("*.[ch]")):
        own = file.parent == built and not file.name.startswith("__native")
        place = made / ("lib-rt" if own else "") / file.relative_to(built)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, place)
    shutil.rmtree(built)


def take_library(compiled: Path) -> None:
    """What the C files of mypyc's own library include: headers, and C files that are not compiled
    by themselves."""
    import mypyc

    included = compiled / "include"
    included.mkdir()
    for file in sorted((Path(mypyc.__file__).parent / "lib-rt").glob("*.[ch]")):
        if not (compiled / file.name).exists():
            shutil.copy(file, included)


def _take_private(made: Path) -> None:
    """The one module that Debian does not have, and the licences of both."""
    for package, name in LICENCES.items():
        licence = next(file for file in distribution(package).files or () if file.name == "LICENSE")
        shutil.copyfile(licence.locate(), made / name)
    module = next(file for file in distribution("inotify_simple").files or () if file.name == "inotify_simple.py")
    shutil.copyfile(module.locate(), made / module.name)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
