"""One process of a worker: its names, and what is its own."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tqunits.model import Instance
from tqunits.units import environment, failure_pause, name

RUNTIME = PurePosixPath("/run/tqunits")
FIRST, SECOND = Instance("api"), Instance("api", 2)

TEXTS = {
    "api": FIRST,
    "api:2": SECOND,
    "api-v2:10": Instance("api-v2", 10),
    "api:1": None,  # one spelling for each
    "api:0": None,
    "api:02": None,
    "api:": None,
    "api:x": None,
    "api:10000": None,
    ":2": None,
    "API": None,
    "": None,
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items(), ids=TEXTS)
def test_what_people_call_it_is_one_instance_or_none(text: str, expected: Instance | None) -> None:
    assert name.instance(text) == expected
    assert expected is None or str(expected) == text


UNITS = {
    "tq-worker@api.service": FIRST,
    "tq-worker@api:2.service": SECOND,
    "tq-worker@api:2.socket": SECOND,
    "run-tqunits-workers-api.mount": FIRST,
    "run-tqunits-workers-api:2.mount": SECOND,
    r"run-tqunits-workers-a\x2db:3.mount": Instance("a-b", 3),
    "run-tqunits-workers-a-b.mount": None,  # of another folder
    "tq-worker@api:1.service": None,
    "tq-worker@.service": None,
    "tq-backoff@api.service": None,
    "tq-build@api.service": None,
    "api:2": None,
}


@pytest.mark.parametrize(("unit", "expected"), UNITS.items(), ids=UNITS)
def test_a_unit_tells_whose_process_it_is(unit: str, expected: Instance | None) -> None:
    assert name.instance_of(unit) == expected
    assert name.worker_of(unit) == (expected.worker if expected else None)


@pytest.mark.parametrize("whose", [FIRST, SECOND, Instance("a-b", 12)], ids=str)
def test_names_of_units_lead_back_to_it(whose: Instance) -> None:
    for unit in (name.service(whose), name.socket(whose), name.mount(whose)):
        assert name.instance_of(unit) == whose
        assert name.is_unit_name(unit)
    assert name.socket_of(name.service(whose)) == name.socket(whose)
    assert name.paused_by(name.backoff(whose)) == whose
    assert name.named(name.service(whose)) == str(whose)


def test_the_first_instance_is_the_worker() -> None:
    makers = (name.service, name.socket, name.mount, name.backoff)
    assert [make(FIRST) for make in makers] == [make("api") for make in makers]
    assert name.service(FIRST) == "tq-worker@api.service"


def test_each_has_its_own_files() -> None:
    assert environment.place(SECOND, RUNTIME) == {
        "--serving": "/run/tqunits/workers/api:2/serving",
        "--routers": "/run/tqunits/leave",
        "--name": "api:2",
    }
    assert environment.leaving_file(SECOND, RUNTIME) == "/run/tqunits/workers/api:2/leaving"
    assert str(failure_pause.state_file(SECOND, RUNTIME)) == "/run/tqunits/backoff/api:2/state"
    assert str(failure_pause.given_up_file(SECOND, RUNTIME)) == "/run/tqunits/backoff/api:2/given-up"


def test_they_sort_by_worker_and_number() -> None:
    assert sorted([Instance("b"), Instance("a", 10), Instance("a", 2), Instance("a")]) == [
        Instance("a"),
        Instance("a", 2),
        Instance("a", 10),
        Instance("b"),
    ]
