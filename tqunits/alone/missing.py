"""Whether a worker's drop-in is missing: ExecCondition= of tq-repair.service, which a change in the
folder of the units starts.

/usr/bin/python3 -I -S missing.py LEDGER UNITS

That folder changes often, and hardly ever because a drop-in is lost. This program takes 20 ms, the
whole repair 200 ms. Exit status 0: there is something to do, or another path has started the
service (systemd.exec(5), $TRIGGER_PATH); 1: there is nothing to do.
"""

from __future__ import annotations

import json
import os
import sys


def is_missing(ledger: str, units: str) -> bool:
    """Whether a drop-in in the ledger is missing from the folder of the units. Without a ledger
    none is."""
    try:
        with open(ledger, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - pathlib costs more
            workers = json.load(file)["workers"]
    except FileNotFoundError:
        return False
    names = (name for name, members in workers.items() if members["drop_in"] is not None)
    return not all(os.path.lexists(f"{units}/tq-worker@{name}.service.d/10-tqunits.conf") for name in names)


def main(arguments: list[str]) -> int:
    """A ledger that can not be read counts as a reason to run the repair."""
    ledger, units = arguments
    if os.environ.get("TRIGGER_PATH") != units:
        return 0
    try:
        return 0 if is_missing(ledger, units) else 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
