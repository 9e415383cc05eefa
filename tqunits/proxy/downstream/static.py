"""Answers with static files instead of a worker's program; routes/site.py finds them."""

from __future__ import annotations

from tqunits.http.additions import additions
from tqunits.http.head import RequestHead
from tqunits.http.target import Target
from tqunits.proxy.downstream import replying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.site import NO_FILE, REFUSALS, Answer, Site, Unsent
from tqunits.proxy.transport.sendfile import FileBody


def serve(exchange: Exchange, site: Site, head: RequestHead, target: Target, backend: Backend) -> bool:
    """Whether the request is answered without the program: with a file, or because there is no
    program."""
    exchange.backend = backend
    router = exchange.router
    last = not (exchange.persistent and exchange.bodiless) or router.draining or exchange.is_last()
    path = backend.site_path.path(target.path)
    try:
        found = site.answer(head.method, path, head.fields, target=target, date=router.clock.date(), close=last)
    except OSError as error:
        exchange.complain(f"503: static files: {error}")
        replying.answer(exchange, 503)
        return True
    if isinstance(found, Unsent):
        return _is_answered_without(exchange, found, backend)
    exchange.persistent = not last
    _send(exchange, found, backend)
    return True


def _send(exchange: Exchange, found: Answer, backend: Backend) -> None:
    client, account, worker = exchange.client, exchange.account, backend.worker
    account.routed(worker.name, worker.metrics, account.request_id)
    account.status = found.status
    if found.status >= 400:
        account.because(REFUSALS[found.status])
    exchange.started = True
    client.phase = client.phase.asked
    client.silence = backend.write
    exchange.file = FileBody(client, exchange, found.descriptor, found.offset, found.length)
    if exchange.file.begin(b"%b%b\r\n\r\n" % (found.head[:-4], additions(account.request_id, exchange.hsts))):
        exchange.file = None
        account.finished()
        account.because("")
        exchange.go_on_or_linger()


def _is_answered_without(exchange: Exchange, found: Unsent, backend: Backend) -> bool:
    """No file is sent, so the program answers, if there is one. Anything odd is reported in both
    cases."""
    account, worker = exchange.account, backend.worker
    if worker.endpoints:
        if found.odd:
            who = f"worker {worker.name}: {account.whom()}: "
            exchange.router.complaints.seldom(found.why, f"{who}no file is sent: ")
        return False
    account.routed(worker.name, worker.metrics, account.request_id)
    replying.answer(exchange, 404, NO_FILE, found.why)
    return True
