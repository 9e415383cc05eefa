"""The old path of the program that takes a worker out of the routers (ExecStop=), for units of
earlier releases. The program itself is alone/leave.py.

Such a unit stays until the next `tqunits install`. It runs this file as root, with --runtime DIR
--name NAME --wait SECONDS.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import leave
else:  # with -I (isolated), Python does not look for modules beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/alone")  # noqa: PTH100, PTH120 - pathlib costs more
    import leave


def main(arguments: list[str]) -> int:
    """Returns the exit status, which is always 0."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    runtime, name = options.get("--runtime", ""), options.get("--name", "")
    place = ["--serving", f"{runtime}/workers/{name}/serving", "--routers", f"{runtime}/leave", "--name", name]
    return leave.main([*place, "--wait", options.get("--wait", ""), "--pid", os.environ.get("MAINPID", "")])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
