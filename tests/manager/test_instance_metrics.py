"""The manager's own part of the metrics: the text as it is written, and read by a parser that is
independent of us."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tqunits.lifecycle.state import Event, State
from tqunits.manager.instance_metrics import (
    ManagerFacts,
    MeasuredInstance,
    MeasuredWatch,
    of_instances,
    of_manager,
    of_routers,
    of_watches,
)
from tqunits.manager.record import Checked, InstanceRecord, Place, Seen
from tqunits.manager.usage import Usage
from tqunits.metrics.openmetrics import END
from tqunits.model import Instance

GOLDEN = Path(__file__).parent / "metrics.txt"
FACTS = ManagerFacts(
    release="1.2.3", started=1_700_000_000_000_001, usage=Usage(memory=31 << 20, cpu=1_500_000), changes=7
)


def record(worker: str, number: int = 1) -> InstanceRecord:
    whose = Instance(worker, number)
    place = Place(whose=whose, unit="u", routes=("/",), hosts=(), address="127.0.0.1:9000", source="/y")
    return InstanceRecord(place=place)


SERVES = MeasuredInstance(
    replace(
        record("api"),
        state=State.HEALTHY,
        seen=Seen(event=Event.READY, started=1_700_000_100_000_000, restarts=2),
        check=Checked(at=1_700_000_200_500_000, elapsed=1234, asked="127.0.0.1:9000/health"),
        requested_restarts=1,
    ),
    Usage(memory=50_000_000, memory_limit=536_870_912, cpu=2_000_001),
    "3f9c02d1a7be",
)
FAILS = MeasuredInstance(
    replace(
        record("api", 2),
        state=State.UNHEALTHY,
        seen=Seen(event=Event.EXITED, started=1_700_000_100_000_000),
        check=Checked(at=1_700_000_200_500_000, elapsed=9, asked="x", wrong='503: "sick"', failures=3),
    ),
    Usage(memory=1),
)
RESTS = MeasuredInstance(record("shop"), Usage())

WATCHES = (
    MeasuredWatch(worker="api", folders=12, last_event_us=1_700_000_300_000_000, is_broken=False, is_suspended=True),
    MeasuredWatch(worker="shop", folders=0, last_event_us=None, is_broken=True, is_suspended=False),
)


def text(*instances: MeasuredInstance) -> str:
    lines = [
        *of_routers({"1": True, "2": False}),
        *of_instances(instances),
        *of_watches(WATCHES),
        *of_manager(FACTS),
        END,
    ]
    return "".join(lines)


def samples(exposition: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(exposition)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def test_the_text_is_the_golden_one() -> None:
    written = text(SERVES, FAILS, RESTS)
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        GOLDEN.write_text(written, encoding="utf-8")
    assert written == GOLDEN.read_text(encoding="utf-8")
    assert samples(written), "the independent parser takes it"


def test_what_is_not_known_has_no_sample() -> None:
    names = {name for name, _ in samples(text(RESTS)) if name.startswith("tqunits_instance")}
    assert names == {"tqunits_instance_state", "tqunits_instance_restarts_total"}


def test_nothing_of_what_a_worker_says_is_told() -> None:
    assert "sick" not in text(FAILS)


def test_each_instance_has_the_release_that_it_serves_with() -> None:
    told = samples(text(SERVES, FAILS, RESTS, replace(SERVES, record=record("api", 3))))
    found = [dict(labels) for name, labels in told if name == "tqunits_instance_info"]
    assert sorted(found, key=lambda labels: labels["number"]) == [
        {"worker": "api", "number": number, "release": "3f9c02d1a7be"} for number in ("1", "3")
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text('\\"\n,={} '), st.sampled_from(State))
def test_any_name_and_state_arrive(worker: str, state: State) -> None:
    told = samples(text(MeasuredInstance(replace(record(worker), state=state), Usage(memory=5))))
    labels = {"worker": worker, "number": "1"}
    assert told["tqunits_instance_memory_bytes", frozenset(labels.items())] == 5
    states = {
        each: told["tqunits_instance_state", frozenset({**labels, "tqunits_instance_state": each.value}.items())]
        for each in State
    }
    assert states == {each: float(each is state) for each in State}
