"""Settings after the endpoint of a --route."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tqunits.cli.route_options import OPTIONS, snapshot_of
from tqunits.config.settings import WORKER
from tqunits.errors import UsageError
from tqunits.model import ClientGone, HeadLimits, Retry
from tqunits.routing.endpoint import Address
from tqunits.routing.snapshot import RoutedWorker, WorkerTimeouts


def worker(options: str, endpoint: str = "127.0.0.1:1") -> RoutedWorker:
    (found,) = snapshot_of([f"/={endpoint}{options}"], strip=True).workers
    return found


def test_what_the_router_is_told_of_a_worker_may_be_told_here() -> None:
    """All fields of a worker in a snapshot that come from its settings; the others come from
    systemd or from files."""
    told = {key for key in WORKER if key.startswith("proxy.")} | {"strip_prefix"}
    told |= {f"timeouts.{one.name.removesuffix('_us')}" for one in fields(WorkerTimeouts)}
    assert OPTIONS.keys() == told
    assert told <= WORKER.keys()


def test_they_are_read_as_there() -> None:
    found = worker(
        ",timeouts.read=5min,timeouts.stream=infinity,timeouts.request=1h 30min,proxy.max_body=2M,proxy.max_inflight=7,"
        "proxy.queue_timeout=500ms,proxy.retry=never,proxy.buffer_requests=yes,proxy.allow_encoded_slash=true,"
        "proxy.on_client_gone=abort,proxy.max_response_head=64K,proxy.max_response_fields=200,strip_prefix=no,"
        "timeouts.body=1min,proxy.min_body_rate=0,proxy.raw_path=on,proxy.via=yes"
    )
    times = found.timeouts
    assert (times.read_us, times.stream_us, times.request_us) == (300_000_000, 0, 5_400_000_000)
    assert (found.max_body, found.max_inflight, found.queue_us) == (2 * 1024 * 1024, 7, 500_000)
    assert (found.retry, found.on_client_gone) == (Retry.NEVER, ClientGone.ABORT)
    assert (found.buffer_requests, found.encoded_slash, found.strip_prefix) == (True, True, False)
    assert (times.body_us, found.min_body_rate, found.raw_path, found.via) == (60_000_000, 0, True, True)
    assert found.response_heads == HeadLimits(65_536, 65_536, 200)


def test_a_socket_may_have_commas_in_its_name() -> None:
    found = worker(",proxy.retry=unsent", "unix:/run/a,b.sock")
    assert found.endpoints == (Address(path="/run/a,b.sock"),)
    assert found.retry is Retry.UNSENT


def test_one_route_twice_has_the_options_of_both() -> None:
    texts = ["/=127.0.0.1:1,proxy.retry=never", "/=127.0.0.1:2,timeouts.read=1s", "/x=127.0.0.1:3"]
    both, other = snapshot_of(texts, strip=True).workers
    assert (len(both.endpoints), both.retry, both.timeouts.read_us) == (2, Retry.NEVER, 1_000_000)
    assert (other.retry, other.timeouts.read_us) == (Retry.IDEMPOTENT, 30_000_000)


WRONG = {
    ",timeouts.raed=1s": "no option 'timeouts.raed'",
    ",limits.memory_max=1G": "no option 'limits.memory_max'",
    ",timeouts.read=soon": "timeouts.read: 'soon' is not a time span",
    ",proxy.retry=always": "proxy.retry: 'always' is none of its values",
    ",proxy.max_inflight=0": "proxy.max_inflight: 0 is not within 1",
    ",proxy.max_response_head=1K": "proxy.max_response_head: '1K' is less than 4K",
    ",proxy.max_response_head=2M": "proxy.max_response_head: '2M' is more than 1M",
    ",proxy.max_response_fields=9": "proxy.max_response_fields: 9 is not within 10",
    ",proxy.max_response_head=infinity": "proxy.max_response_head",
    ",proxy.buffer_requests=": "neither true nor false",
}


@pytest.mark.parametrize(("options", "said"), WRONG.items())
def test_what_is_wrong_is_said(options: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"--route /=127\.0\.0\.1:1") as raised:
        worker(options)
    assert said in raised.value.message
