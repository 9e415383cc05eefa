"""The exposition, parsed by two strict readers: every number is there, whatever the names of
workers and endpoints.

One reader is our own, from the specification (exposition.py); the other is that of the Prometheus
client, which is independent of us.
"""

from __future__ import annotations

import pytest
from exposition import Family, read_labels
from exposition import read as read_strictly
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tqunits.metrics.counters import RouterMetrics
from tqunits.metrics.openmetrics import Now, escaped, render

IDLE = Now(connections=0, in_flight={}, log_dropped=0)
NAMES = st.text(max_size=12) | st.text('\\"\n{},=n# ', max_size=8)
COUNT = st.integers(0, 2**63)


def read(text: bytes) -> dict[str, Family]:
    """The result of the readers; both results must be equal."""
    families = read_strictly(text)
    theirs = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert list(theirs) == list(families)
    for name, ours in families.items():
        their = theirs[name]
        assert (their.type, their.unit, their.documentation) == (ours.kind, ours.unit, ours.help)
        told = {(one.name.removeprefix(name), frozenset(one.labels.items())): float(one.value) for one in their.samples}
        assert told == ours.samples
    return families


def test_a_request_is_told_with_its_worker_and_class() -> None:
    metrics = RouterMetrics()
    metrics.worker("api").answered(204, 1500)
    metrics.worker("api").answered(503, 2_000_001)
    families = read(render(metrics, IDLE, process="1"))
    requests = families["tqunits_requests"]
    told = {code: requests.value("_total", process="1", worker="api", code=code) for code in ("2xx", "4xx", "5xx")}
    assert told == {"2xx": 1, "4xx": 0, "5xx": 1}
    durations = families["tqunits_request_duration_seconds"]
    assert durations.unit == "seconds"
    assert durations.value("_bucket", process="1", worker="api", le="0.001024") == 0
    assert durations.value("_bucket", process="1", worker="api", le="0.002048") == 1
    assert durations.value("_bucket", process="1", worker="api", le="+Inf") == 2
    assert durations.value("_sum", process="1", worker="api") == 2.001501


def test_bounds_are_written_the_canonical_way() -> None:
    metrics = RouterMetrics()
    metrics.worker("api")
    text = render(metrics, IDLE, process="1").decode()
    bounds = [
        dict(read_labels(line[line.index("{") + 1 : -3]))["le"] for line in text.splitlines() if "_bucket" in line
    ]
    assert bounds[:3] == ["6.4e-05", "0.000128", "0.000256"]
    assert bounds[-3:] == ["33.554432", "67.108864", "+Inf"]
    assert len(bounds) == 22


def test_an_idle_router_tells_zeros() -> None:
    families = read(render(RouterMetrics(), IDLE, process="tq-proxy@2"))
    assert families["tqunits_open_connections"].value(process="tq-proxy@2") == 0
    assert families["tqunits_accept_pauses"].value("_total", process="tq-proxy@2") == 0
    assert not families["tqunits_requests"].samples


WORKER_COUNTERS = {
    "tqunits_retries": "retries",
    "tqunits_held_requests": "held",
    "tqunits_queue_full": "queue_full",
    "tqunits_queue_timeouts": "queue_timeouts",
    "tqunits_cut_responses": "cut",
    "tqunits_clients_gone": "gone",
    "tqunits_request_body_bytes": "received",
    "tqunits_response_body_bytes": "sent",
}


@pytest.mark.parametrize(("family", "counter"), WORKER_COUNTERS.items(), ids=WORKER_COUNTERS)
def test_each_counter_of_a_worker_is_its_own(family: str, counter: str) -> None:
    metrics = RouterMetrics()
    setattr(metrics.worker("api"), counter, 7)
    families = read(render(metrics, IDLE, process="1"))
    told = {name: families[name].value("_total", process="1", worker="api") for name in WORKER_COUNTERS}
    assert told == {name: 7 if name == family else 0 for name in WORKER_COUNTERS}


ROUTER_COUNTERS = {"tqunits_accepted_connections": "accepted", "tqunits_accept_pauses": "accept_pauses"}


@pytest.mark.parametrize(("family", "counter"), ROUTER_COUNTERS.items(), ids=ROUTER_COUNTERS)
def test_each_counter_of_the_router_is_its_own(family: str, counter: str) -> None:
    metrics = RouterMetrics()
    setattr(metrics, counter, 7)
    families = read(render(metrics, IDLE, process="1"))
    told = {name: families[name].value("_total", process="1") for name in ROUTER_COUNTERS}
    assert told == {name: 7 if name == family else 0 for name in ROUTER_COUNTERS}


def test_what_reached_no_worker_is_told_by_its_class() -> None:
    metrics = RouterMetrics()
    metrics.unrouted[4] += 3
    refused = read(render(metrics, IDLE, process="1"))["tqunits_unrouted_requests"]
    assert refused.value("_total", process="1", code="4xx") == 3
    assert refused.value("_total", process="1", code="5xx") == 0


@given(st.text())
def test_a_label_is_read_back_as_it_was(value: str) -> None:
    assert read_labels(f'a="{escaped(value)}",b="x"') == {("a", value), ("b", "x")}


@given(NAMES, st.dictionaries(NAMES, COUNT), st.dictionaries(NAMES, COUNT), COUNT, COUNT)
def test_any_names_and_numbers_arrive(
    process: str, spans: dict[str, int], in_flight: dict[str, int], connections: int, dropped: int
) -> None:
    metrics = RouterMetrics()
    for name, span in spans.items():
        metrics.worker(name).answered(200, span)
        metrics.worker(name).sent = span
    now = Now(connections=connections, in_flight=in_flight, log_dropped=dropped)
    families = read(render(metrics, now, process=process))
    for name, span in spans.items():
        assert families["tqunits_response_body_bytes"].value("_total", process=process, worker=name) == float(span)
        duration = families["tqunits_request_duration_seconds"]
        assert duration.value("_count", process=process, worker=name) == 1
        assert duration.value("_sum", process=process, worker=name) == pytest.approx(span / 1e6)
    for endpoint, count in in_flight.items():
        told = families["tqunits_in_flight_requests"].value(process=process, endpoint=endpoint)
        assert told == float(count)
    assert families["tqunits_open_connections"].value(process=process) == float(connections)
    assert families["tqunits_access_log_dropped_lines"].value("_total", process=process) == float(dropped)
    assert len(families["tqunits_requests"].samples) == 5 * len(spans)


def test_a_name_that_has_no_utf8_does_not_spoil_the_rest() -> None:
    metrics = RouterMetrics()
    metrics.worker("a\ud800b")
    assert read(render(metrics, IDLE, process="1"))["tqunits_retries"].value("_total", process="1", worker="a?b") == 0
