"""A folder of benchmarks as one command: `python -m bench.FOLDER NAME [ARGUMENT]...`."""

from __future__ import annotations

import pkgutil
import runpy
import sys
from pathlib import Path


def run(main: str, about: str | None) -> None:
    """Run the benchmark that the first argument names, as if it had been started itself.

    `main`: the path of the folder's __main__.py; `about`: what to say where no name, or none of the
    names, is given.
    """
    folder = Path(main).parent
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if module.name != "__main__")
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"{about}\n\nname one of: {', '.join(names)}")
    runpy.run_module(f"bench.{folder.name}.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
