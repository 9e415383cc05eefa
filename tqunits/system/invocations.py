"""The id of a unit's latest start, as the system's systemd leaves it for the journal: the target of
a link in /run/systemd/units (systemd 252 and 257: unit_export_invocation_id() in core/unit.c).

To read a link takes some microseconds, and the property InvocationID almost a millisecond: for 300
units that is a quarter of a second in which the event loop does nothing else. But the link is no
part of systemd's interface, so who finds none asks for the property.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tqunits.late_pattern import late_pattern

FOLDER: Final = "/run/systemd/units"
_ID: Final = late_pattern("[0-9a-f]{32}")


def exported(unit: str, folder: str = FOLDER) -> str:
    """The id, 32 hex digits; "" where systemd has left none."""
    try:
        target = str(Path(folder, f"invocation:{unit}").readlink())
    except OSError:
        return ""
    return target if _ID.fullmatch(target) else ""
