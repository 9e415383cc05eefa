"""What a worker's YAML has to do with other units: what takes a grant, and by which names it is compared."""

from __future__ import annotations

import pytest

from tqunits.model import Depends
from tqunits.units.dependencies import canonical, foreign_dependencies, is_nobodys

from .cases import worker


def test_every_place_is_found_with_its_setting() -> None:
    asks = worker(
        "api",
        depends=Depends(after=("redis.service", "tq-worker@web.service"), requires=("postgresql.service",)),
        unit=(
            ("Unit", "After", "a.service b.service"),
            ("Unit", "Wants", "c.service"),
            ("Unit", "Before", "tq-worker@web.service"),
            ("Unit", "Description", "d.service"),
            ("Service", "Nice", "5"),
        ),
    )
    assert foreign_dependencies(asks) == (
        ("depends.after", "redis.service"),
        ("depends.after", "tq-worker@web.service"),
        ("depends.requires", "postgresql.service"),
        ("unit.Unit.After", "a.service"),
        ("unit.Unit.After", "b.service"),
        ("unit.Unit.Wants", "c.service"),
        ("unit.Unit.Before", "tq-worker@web.service"),
    )


def test_its_own_units_are_nobody_elses() -> None:
    own = ("tq-worker@api.service", "tq-worker@api.socket", "run-tqunits-workers-api.mount")
    assert foreign_dependencies(worker("api", depends=Depends(after=own, requires=own))) == ()
    assert len(foreign_dependencies(worker("ap", depends=Depends(after=own, requires=())))) == 3


@pytest.mark.parametrize(
    ("asked", "is_called"),
    [
        ("sshd.service", "ssh.service"),
        ("ssh.service", "ssh.service"),
        ("old.service", "ssh.service"),
        ("other.service", "other.service"),
    ],
)
def test_a_unit_has_one_name_to_be_compared_by(asked: str, is_called: str) -> None:
    assert canonical(asked, {"sshd.service": "ssh.service", "old.service": "sshd.service"}) == is_called


def test_names_that_lead_in_a_circle_end() -> None:
    assert canonical("a.service", {"a.service": "b.service", "b.service": "a.service"}) in {"a.service", "b.service"}


def test_an_alias_of_what_nobody_may_name_is_nobodys_either() -> None:
    aliases = {"night.service": "systemd-suspend.service", "up.target": "multi-user.target", "db.service": "a.service"}
    assert [unit for unit in aliases if is_nobodys(canonical(unit, aliases))] == ["night.service", "up.target"]
