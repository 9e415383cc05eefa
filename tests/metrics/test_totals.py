"""The sums of several processes: what one has told is read back number by number, sums are those of
the parts, and none falls when a process is started again or does not answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tqunits.metrics.counters import RouterMetrics
from tqunits.metrics.exposition_reader import MAX_NAMES, RouterNumbers, read
from tqunits.metrics.openmetrics import END, Now, encoded, families, render
from tqunits.metrics.totals import MAX_PROCESSES, Totals

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,23}", fullmatch=True)
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text('\\"\nn,={} ', min_size=1)
COUNTS = st.integers(0, 10**15)


@st.composite
def metrics(draw: st.DrawFn) -> RouterMetrics:
    found = RouterMetrics()
    found.accepted, found.idle_closed, found.accept_pauses = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    found.unrouted[1:] = draw(st.lists(COUNTS, min_size=5, max_size=5))
    for name in draw(st.lists(NAMES, max_size=4)):
        worker = found.worker(name)
        for status, span in draw(st.lists(st.tuples(st.integers(100, 599), st.integers(0, 2**40)), max_size=5)):
            worker.answered(status, span)
        worker.retries, worker.held, worker.queue_full = draw(COUNTS), draw(COUNTS), draw(COUNTS)
        worker.queue_timeouts, worker.cut, worker.gone = draw(COUNTS), draw(COUNTS), draw(COUNTS)
        worker.received, worker.sent = draw(COUNTS), draw(COUNTS)
    return found


NOWS = st.builds(
    Now,
    connections=COUNTS,
    in_flight=st.dictionaries(ANY, COUNTS, max_size=4),
    log_dropped=COUNTS,
    certificates=st.dictionaries(ANY, COUNTS, max_size=4),
)


def text(found: RouterNumbers) -> bytes:
    return encoded([*families(found.metrics, found.now, process=None), END])


def samples(exposition: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """By name and labels, as an independent parser has them, without the label of the process."""
    return {
        (one.name, frozenset((key, value) for key, value in one.labels.items() if key != "process")): one.value
        for family in text_string_to_metric_families(exposition.decode())
        for one in family.samples
    }


@given(metrics(), NOWS, ANY)
def test_what_is_written_is_read_back(found: RouterMetrics, now: Now, process: str) -> None:
    written = render(found, now, process=process)
    again = read(written, process)
    assert render(again.metrics, again.now, process=process) == written


@given(metrics(), NOWS, metrics(), NOWS)
def test_counters_of_processes_are_added_up(one: RouterMetrics, at: Now, other: RouterMetrics, there: Now) -> None:
    texts = {"1": render(one, at, process="1"), "2": render(other, there, process="2")}
    totals = Totals()
    for process, written in texts.items():
        totals.take(process, read(written, process))
    told = samples(text(totals.all(texts)))
    parts = [samples(written) for written in texts.values()]
    assert told.keys() == parts[0].keys() | parts[1].keys()
    for key, value in told.items():
        numbers = [part[key] for part in parts if key in part]
        expected = min(numbers) if key[0].endswith("timestamp_seconds") else sum(numbers)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-5)


def run_of(requests: int, accepted: int = 1) -> RouterNumbers:
    found = RouterNumbers()
    found.metrics.accepted = accepted
    found.log_dropped = requests
    for _ in range(requests):
        found.metrics.worker("api").answered(200, 1000)
    return found


def requests(totals: Totals) -> int:
    return totals.all(()).metrics.worker("api").classes[2]


def test_a_process_that_is_started_again_takes_nothing_away() -> None:
    totals = Totals()
    totals.take("1", run_of(10))
    totals.take("2", run_of(5))
    totals.take("1", run_of(2, accepted=9))  # another run: it has more connections, and fewer requests
    assert requests(totals) == 17
    totals.take("1", run_of(3, accepted=9))
    assert (requests(totals), totals.all(()).log_dropped) == (18, 18)


def test_a_process_that_does_not_answer_is_still_in_the_sum_but_has_no_moment() -> None:
    totals = Totals()
    for process, count in (("1", 10), ("2", 5)):
        found = run_of(count)
        found.connections = count
        totals.take(process, found)
    assert totals.all({"2"}).connections == 5
    assert totals.all({"2"}).metrics.worker("api").classes[2] == 15


@given(st.lists(st.tuples(st.sampled_from("12"), st.integers(0, 20), st.integers(0, 3)), max_size=20))
def test_no_sum_falls(told: list[tuple[str, int, int]]) -> None:
    totals, before = Totals(), 0
    for process, count, accepted in told:
        totals.take(process, run_of(count, accepted))
        assert requests(totals) >= before
        before = requests(totals)


def test_the_earliest_end_of_a_certificate_is_told() -> None:
    totals = Totals()
    for process, ends in (("1", 200), ("2", 100)):
        found = RouterNumbers()
        found.certificates["www.pem"] = ends
        totals.take(process, found)
    assert totals.all({"1", "2"}).certificates == {"www.pem": 100}


WORKER = 'tqunits_retries_total{process="1",worker="api"} 1\n'
BUCKET = 'tqunits_request_duration_seconds_bucket{process="1",worker="api",le='


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(WORKER, id="no end"),
        pytest.param(f"{WORKER.replace('1', '2')}# EOF\n", id="of another process"),
        pytest.param(WORKER.replace("api", "a\\nb") + "# EOF\n", id="no name of a worker"),
        pytest.param(WORKER.replace(" 1\n", " NaN\n") + "# EOF\n", id="no number"),
        pytest.param(WORKER.replace(" 1\n", " -1\n") + "# EOF\n", id="a negative number"),
        pytest.param(WORKER.replace(" 1\n", f" {'9' * 5000}\n") + "# EOF\n", id="a number of any length"),
        pytest.param(f'{BUCKET}"0.5"}} 1\n# EOF\n', id="another bound"),
        pytest.param(f'{BUCKET}"6.4e-05"}} 1\n# EOF\n', id="half a histogram"),
        pytest.param("".join(f'x{{process="1",endpoint="{n}"}} 1\n' for n in range(MAX_NAMES + 1)) + END, id="many"),
        pytest.param(
            "".join(WORKER.replace("api", f"w{n}") for n in range(MAX_NAMES + 1)) + END,
            id="more workers than there are",
        ),
    ],
)
def test_a_text_that_no_process_writes_is_refused(lines: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(lines.encode(), "1")


def test_a_histogram_that_falls_is_refused() -> None:
    found = RouterMetrics()
    found.worker("api").answered(200, 100)
    written = render(found, Now(connections=0, in_flight={}, log_dropped=0), process="1")
    with pytest.raises(ValueError, match="buckets"):
        read(written.replace(b'le="0.000256"} 1', b'le="0.000256"} 0'), "1")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(garbage: bytes) -> None:
    for lines in (garbage, garbage + b"\n# EOF\n", b'x{process="1",' + garbage + b"\n# EOF\n"):
        try:
            read(lines, "1")
        except ValueError:
            continue


def test_a_family_of_another_release_is_left_out() -> None:
    found = read(b'tqunits_new_total{process="1",worker="api"} 7\n# EOF\n', "1")
    assert list(found.metrics.workers) == ["api"]
    assert set(found.metrics.worker("api").numbers()) == {0}


def test_processes_have_a_bound() -> None:
    totals = Totals()
    for number in range(MAX_PROCESSES):
        totals.take(str(number), RouterNumbers())
    with pytest.raises(ValueError, match="processes"):
        totals.take("more", RouterNumbers())
