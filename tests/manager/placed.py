"""Instances of workers, as the manager knows them."""

from __future__ import annotations

from pathlib import Path

from tqunits.lifecycle.state import Event
from tqunits.manager.hands import Hands
from tqunits.manager.record import Place, Seen
from tqunits.model import Instance
from tqunits.units import name
from tqunits.units.environment import serving_file

RUNS = Seen(event=Event.READY, invocation="a" * 32, started=1)


def place(whose: Instance, *, is_surge: bool = False) -> Place:
    """Where it is, without an address."""
    unit = name.service(whose)
    return Place(whose=whose, unit=unit, routes=(), hosts=(), address="", source="", is_surge=is_surge)


def serve(hands: Hands, whose: Instance, release: str) -> None:
    """It serves with this release from now on."""
    serving = Path(serving_file(whose, hands.layout.runtime))
    serving.parent.mkdir(parents=True)
    serving.write_text(f"{release}\n")
    hands.registry.see(whose, RUNS, 1)
