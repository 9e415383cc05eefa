"""Whether polkit is there to be asked. Without it the manager may start and stop nothing, and only
root can. Its folders of rules prove nothing: other packages put rules there, too."""

from __future__ import annotations

from typing import Final

from tqunits.system.bus import Bus

POLKIT: Final = "polkit.service"


def lack_of_polkit(bus: Bus) -> str:
    """What is wrong, as a clause; "" where it can be asked. It need not run: the bus starts it.
    Raises TqunitsError."""
    if bus.property_of(POLKIT, "Unit", "LoadState", "s") != "loaded":
        return "is not installed"
    return "has failed" if bus.property_of(POLKIT, "Unit", "ActiveState", "s") == "failed" else ""
