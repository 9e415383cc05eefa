"""The file that lists for the routers which workers get no requests, as the commands write it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.host import traffic_file
from tqunits.http.answers import MAX_MESSAGE
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.model import Instance
from tqunits.routing.traffic import MAINTENANCE, MAX_TRAFFIC, PAUSE, Order

API, SECOND, WEB = Instance("api"), Instance("api", 2), Instance("web")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return replace(SYSTEM_LAYOUT, runtime=PurePosixPath(tmp_path))


def test_who_is_gone_is_forgotten_with_all_that_was_said_of_him(layout: Layout) -> None:
    traffic_file.stop(layout, [API, SECOND, WEB])
    traffic_file.order(layout, ["api"], Order(PAUSE))
    traffic_file.drain(layout, [API, SECOND], drained=True)
    traffic_file.forget(layout, ["api"])
    assert traffic_file.orders(layout) == {}
    assert b"api" not in (Path(layout.traffic)).read_bytes()
    traffic_file.forget(layout, ["web"])
    assert not (Path(layout.traffic)).exists()


def test_a_router_of_the_release_before_reads_who_is_stopped(layout: Layout) -> None:
    traffic_file.stop(layout, [API])
    assert json.loads((Path(layout.traffic)).read_text(encoding="utf-8")).keys() == {"version", "stopped"}


def test_nothing_is_written_for_whoever_is_not_in_it(layout: Layout) -> None:
    traffic_file.forget(layout, ["api"])
    assert os.listdir(layout.runtime) == []


def test_orders_that_the_routers_would_not_read_are_refused_and_the_others_hold(layout: Layout) -> None:
    traffic_file.order(layout, ["api"], Order(PAUSE))
    everybody = [f"worker-{number}" for number in range(MAX_TRAFFIC // MAX_MESSAGE)]
    with pytest.raises(OSError, match="give a shorter text"):
        traffic_file.order(layout, everybody, Order(MAINTENANCE, "x" * MAX_MESSAGE))
    assert traffic_file.orders(layout) == {"api": Order(PAUSE)}


def test_a_router_of_the_release_before_reads_it_while_no_single_instance_is_drained(layout: Layout) -> None:
    traffic_file.drain(layout, [SECOND], drained=True)
    assert json.loads(Path(layout.traffic).read_text(encoding="utf-8"))["drained"] == ["api:2"]
    traffic_file.stop(layout, [API])
    traffic_file.drain(layout, [SECOND], drained=False)
    assert json.loads(Path(layout.traffic).read_text(encoding="utf-8")).keys() == {"version", "stopped"}


def test_each_instance_is_stopped_and_wanted_by_itself(layout: Layout) -> None:
    traffic_file.stop(layout, [API, SECOND, WEB])
    traffic_file.wanted(layout, [SECOND])
    assert traffic_file.stopped(layout) == {API, WEB}


ORDERED: dict[str, tuple[list[str], Order | None, set[Instance]]] = {
    "an order of the worker replaces those of its instances": (["api"], Order(PAUSE), {WEB}),
    "its end ends them too": (["api"], None, {WEB}),
    "one of another leaves them": (["shop"], Order(PAUSE), {API, SECOND, WEB}),
}


@pytest.mark.parametrize(("workers", "order", "left"), ORDERED.values(), ids=ORDERED)
def test_who_is_drained_alone(layout: Layout, workers: list[str], order: Order | None, left: set[Instance]) -> None:
    traffic_file.drain(layout, [API, SECOND, WEB], drained=True)
    traffic_file.order(layout, workers, order)
    assert traffic_file.drained(layout) == left
    traffic_file.drain(layout, [API], drained=False)
    assert traffic_file.drained(layout) == left - {API}
