"""Dependencies of a worker's YAML on other units: which need a grant, and by which names they are
compared."""

from __future__ import annotations

import pytest

from tqunits.model import Depends, instances_of
from tqunits.units.dependencies import all_instances, foreign_dependencies, refusals

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


def test_an_alias_of_what_nobody_may_name_is_nobodys_either() -> None:
    aliases = {"night.service": "systemd-suspend.service", "up.target": "multi-user.target", "db.service": "a.service"}
    named = worker("api", depends=Depends(after=tuple(aliases), requires=()))
    assert [refusal.message.partition(" under")[0] for refusal in refusals(named, aliases)] == [
        "depends.after: night.service is systemd-suspend.service",
        "depends.after: up.target is multi-user.target",
    ]
    assert list(refusals(named, {})) == []


MEANT = {
    "a worker is all its instances": (
        ["tq-worker@web.service"],
        ["tq-worker@web.service", "tq-worker@web:2.service", "tq-worker@web:3.service"],
    ),
    "each in its place": (
        ["a.service", "tq-worker@web.service", "b.service"],
        ["a.service", *(f"tq-worker@web{n}.service" for n in ("", ":2", ":3")), "b.service"],
    ),
    "one that nobody knows": (["tq-worker@gone.service"], ["tq-worker@gone.service"]),
    "a unit beside the worker": (["tq-worker@web.socket"], ["tq-worker@web.socket"]),
    "of the host": (["web.service"], ["web.service"]),
}


@pytest.mark.parametrize(("named", "meant"), MEANT.values(), ids=MEANT)
def test_a_worker_is_meant_as_a_whole(named: list[str], meant: list[str]) -> None:
    assert list(all_instances(named, {"web": instances_of("web", 3)})) == meant
