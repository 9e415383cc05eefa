"""The old path of the gate (ExecStartPost=), for units of earlier releases. The gate itself is
alone/gate.py.

Such a unit stays until the next `tqunits install`. Its worker tells the routers in the present way,
by the file `serving` in its RuntimeDirectory=. The routers must be able to enter that folder.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import gate
else:  # with -I (isolated), Python does not look for modules beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/alone")  # noqa: PTH100, PTH120 - pathlib costs more
    import gate


def main(arguments: list[str]) -> int:
    """The gate's exit status."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if not folder:
        return gate.main(arguments)
    workers, _, name = folder.rpartition("/")
    routers = workers.rpartition("/")[0] + "/leave"
    if os.stat(folder).st_mode & 0o777 == 0o700:  # noqa: PTH116 - the same
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - the same; only root's folders are above it
    return gate.main([*arguments, "--serving", f"{folder}/serving", "--routers", routers, "--name", name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
