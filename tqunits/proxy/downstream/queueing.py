"""A request for which its worker has no room or no endpoint yet. It waits, and no byte of it has
been sent."""

from __future__ import annotations

from tqunits.proxy.downstream import replying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.upstream.worker import Worker


def stand_in_line(exchange: Exchange, worker: Worker) -> None:
    """The worker has no room: join its queue."""
    refusal = worker.refusal
    if refusal is not None:
        replying.give_up(exchange, 503, *refusal)
    elif worker.join(exchange):
        exchange.worker = worker
        _wait(exchange, worker)
    else:
        worker.metrics.queue_full += 1
        replying.fail(exchange, 503, f"{worker.max_inflight} requests run and as many wait")


def hold(exchange: Exchange, worker: Worker) -> None:
    """The request had begun, but no endpoint takes it now: wait for one."""
    refusal = worker.refusal
    if refusal is not None:
        replying.give_up(exchange, 503, *refusal)
    else:
        worker.join_again(exchange)
        _wait(exchange, worker)


def lose_place(exchange: Exchange) -> None:
    """The client has ended its side while its request waits, as clients that leave do: remove the
    request from the queue.

    A client that only sends no more looks the same (RFC 9112 §9.6), so an answer is sent.
    """
    if exchange.waiting and not exchange.client.closed:
        replying.fail(exchange, 503, "the client ended its side of the connection while it waited")


def _wait(exchange: Exchange, worker: Worker) -> None:
    client = exchange.client
    exchange.waiting = True
    past = exchange.history()
    if past.patience == NEVER:
        past.patience = client.wheel.tick + worker.queue_ticks
        worker.metrics.held += 1
    client.limit(max(0, past.patience - client.wheel.tick))
    if client.ended:  # it was known before; the error of a cut body comes first
        exchange.router.loop.call_soon(lose_place, exchange)
