"""Python in namespaces of its own: other limits, other mounts."""

from __future__ import annotations

import sys
from pathlib import Path

from tqunits.system import process

HERE = Path(__file__).parent
PATHS = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]


def run_in_namespaces(options: str, before: str, code: str) -> str:
    """What the code printed. `options` are those of unshare(1); `before` is a script that is run
    first in there."""
    script = f'{before}\nexec "$0" -c "$1"'
    program = f"import sys; sys.path[:0] = {PATHS}\n{code}"
    done = process.run(["unshare", *options.split(), "sh", "-ec", script, sys.executable, program], timeout_s=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


MOUNTS = "--mount"
USER = "--user --map-root-user"
