"""Where units of earlier releases look for what takes a worker out of the routers, as ExecStop=:
alone/leave.py.

Such a unit stays until the next `tqunits install`. It runs this as root, with --runtime DIR --name
NAME --wait SECONDS.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import leave
else:  # isolated (-I), Python looks for nothing beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/alone")  # noqa: PTH100, PTH120 - pathlib costs more
    import leave


def main(arguments: list[str]) -> int:
    """The exit status, which is 0."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    runtime, name = options.get("--runtime", ""), options.get("--name", "")
    place = ["--serving", f"{runtime}/workers/{name}/serving", "--routers", f"{runtime}/leave", "--name", name]
    return leave.main([*place, "--wait", options.get("--wait", ""), "--pid", os.environ.get("MAINPID", "")])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
