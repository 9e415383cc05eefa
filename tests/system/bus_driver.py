"""Runs inside the machine: calls one method of a Bus, or of its Jobs, by name; arguments and result
are JSON.

python bus_driver.py [--user] < {"method": "start", "arguments": [["x.service"]], "options":
{"timeout_us": 5}}
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, is_dataclass

from tqunits.errors import TqunitsError
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs


def plain(value: object) -> object:
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def main() -> int:
    order = json.load(sys.stdin)
    try:
        with Bus(user_mode="--user" in sys.argv) as bus:
            owner = Jobs(bus) if hasattr(Jobs, order["method"]) else bus
            answer = getattr(owner, order["method"])(*order["arguments"], **order["options"])
    except TqunitsError as error:
        json.dump({"error": type(error).__name__, "message": error.message, "hint": error.hint}, sys.stdout)
        return 0
    json.dump({"answer": plain(answer)}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
