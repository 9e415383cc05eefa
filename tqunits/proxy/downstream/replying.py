"""The answers of the router itself: errors, refusals, redirects."""

from __future__ import annotations

from typing import Final

from tqunits.http.answers import answer as written
from tqunits.http.answers import reason
from tqunits.http.grammar import Malformed
from tqunits.http.redirect import https_location, https_port
from tqunits.http.target import Target, authority
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.downstream.parting import HEAD
from tqunits.proxy.upstream.worker import RETRY_AFTER

_COMPLAINED: Final = frozenset({502, 503, 504})
"""Errors of the worker, which are reported where they occur."""


def answer(exchange: Exchange, status: int, detail: str = "", hint: str = "", retry_after: int = RETRY_AFTER) -> None:
    """Answer without a worker. The connection stays open if the request is complete.

    `hint`: for the operator only. `retry_after`: seconds, for a 503.
    """
    _settle_persistence(exchange)
    router, account = exchange.router, exchange.account
    why = reason(status, detail, hint) if status >= 400 else ""
    request_id = account.request_id or router.request_id()
    if why and status not in _COMPLAINED:
        router.complaints.seldom(why, f"{status} for {account.whom()}: ")
    text = written(
        status,
        date=router.clock.date(),
        detail=detail,
        head_only=exchange.method == b"HEAD",
        close=not exchange.persistent,
        accept=account.accept,
        request_id=request_id,
        retry_after=retry_after if status == 503 else 0,
        hsts=exchange.hsts,
    )
    _say(exchange, status, text, request_id, why)


def redirect(exchange: Exchange, target: Target) -> None:
    """Redirect to the same place over HTTPS. Raises Malformed."""
    _settle_persistence(exchange)
    port = https_port(_local(exchange)[1], exchange.router.ports)
    line = b"\r\nLocation: " + https_location(target, port)
    request_id = exchange.account.request_id
    text = written(
        308,
        date=exchange.router.clock.date(),
        head_only=exchange.method == b"HEAD",
        close=not exchange.persistent,
        request_id=request_id,
        lines=line,
    )
    _say(exchange, 308, text, request_id)


def refuse(exchange: Exchange, error: Malformed) -> None:
    """Answer a malformed request, and parse nothing more on this connection."""
    exchange.drop()
    if exchange.started:
        exchange.abort()
        return
    exchange.persistent = False
    answer(exchange, error.status, error.detail, error.hint)


def give_up(exchange: Exchange, status: int, detail: str = "", retry_after: int = RETRY_AFTER) -> None:
    """Answer a request that was waiting or had begun; what the client has sent after it is parsed
    next."""
    exchange.drop()
    if exchange.is_out_of_step():
        exchange.persistent = False
    exchange.bodiless = exchange.body.pump is None
    answer(exchange, status, detail, retry_after=retry_after)
    if exchange.client.phase is HEAD and exchange.client.input:
        exchange.client.serve_next_later()


def fail(exchange: Exchange, status: int, fault: str) -> None:
    """Answer for a failure of the worker, before any of a response was sent."""
    exchange.complain(f"{status}: {fault}")
    give_up(exchange, status)


def own_authority(exchange: Exchange) -> bytes:
    """The authority of a request that names none."""
    return authority(*_local(exchange), secured=exchange.secured is not None)


def _local(exchange: Exchange) -> tuple[str, int]:
    """The address and the port that the client has connected to; "" and 0 for a Unix socket."""
    local = exchange.client.sock.getsockname()
    return (str(local[0]), int(local[1])) if isinstance(local, tuple) else ("", 0)


def _settle_persistence(exchange: Exchange) -> None:
    if not exchange.bodiless or not exchange.modern or exchange.router.draining or exchange.is_last():
        exchange.persistent = False


def _say(exchange: Exchange, status: int, text: bytes, request_id: bytes, why: str = "") -> None:
    exchange.account.answered(status, request_id, why)
    exchange.started = True
    if exchange.write_out(text):
        exchange.go_on_or_linger()
