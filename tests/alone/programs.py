"""The programs of tqunits/alone, in a place where every user may run them."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from tqunits import alone as package


@functools.cache
def _folder() -> Path:
    """A copy, because another user may not enter the folder of this checkout."""
    above = Path(tempfile.mkdtemp(prefix="tqunits-alone-"))
    above.chmod(0o755)
    atexit.register(shutil.rmtree, above)
    shutil.copytree(Path(package.__file__).parent, above / "alone")
    (above / "alone").chmod(0o755)
    return above / "alone"


def alone(program: str) -> tuple[str, ...]:
    """The command line by which a unit runs one of them, with the distribution's Python."""
    return ("/usr/bin/python3", "-I", "-S", str(_folder() / f"{program}.py"))
