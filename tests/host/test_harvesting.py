"""The manager can start tq-harvest@NAME.service with any NAME: nothing stays of one that is no
installed worker's."""

from __future__ import annotations

from pathlib import Path

import pytest
from host.releases import layout_in
from units.cases import CASES

from tqunits.errors import NoSuchWorker
from tqunits.host.harvesting import harvest
from tqunits.host.premises import Premises
from tqunits.system.bus import Bus
from tqunits.units import name
from tqunits.units.unitfile import last_value


def test_a_name_that_nobody_has_is_no_failure_of_a_unit(tmp_path: Path) -> None:
    """systemd keeps a unit that has failed in its memory until somebody resets it."""
    premises = Premises(root=None, layout=layout_in(tmp_path), user_mode=False)
    with pytest.raises(NoSuchWorker, match="nobody-has-it is not installed") as caught:
        harvest("nobody-has-it", premises, Bus(user_mode=True))
    assert not list(tmp_path.iterdir())
    unit = next(each for each in CASES["empty"].files() if each.path.name == name.HARVEST_TEMPLATE)
    assert last_value(unit.content, "Service", "SuccessExitStatus") == f"{caught.value.exit_status:d}"
