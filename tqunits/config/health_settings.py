"""The rows of SETTINGS for the health check of a worker."""

from __future__ import annotations

from tqunits.config import parsers, values, words
from tqunits.config.findings import invalid
from tqunits.config.nodes import Node
from tqunits.config.parsers import listing, number, optional, scalar
from tqunits.config.reject import Reject, shown
from tqunits.config.setting import Setting
from tqunits.health import HealthType, Statuses, statuses

_SPAN = "time span"
_POSITIVE_SPAN = scalar(parsers.positive_span)
_SAID = {"false": HealthType.NONE, "no": HealthType.NONE, "off": HealthType.NONE, "true": HealthType.HTTP}


def _type(node: Node) -> HealthType:
    """A type by its name. null means that nothing is set: a group whose lines are all comments is
    null."""
    if parsers.is_null(node):
        raise invalid(node, "null does not say what is meant", "write none to have no health check, or leave it out")
    return scalar(_type_of)(node)


def _type_of(text: str) -> HealthType:
    if text.startswith("/"):
        raise Reject(f"{shown(text)} is not one of {', '.join(HealthType)}", f"write health: {{path: {text}}}")
    return _SAID.get(text.lower()) or parsers.one_of(HealthType, text)


def _statuses(text: str) -> Statuses:
    found = statuses(text)
    if found is None:
        is_class = len(text) == 3 and text[1:].lower() == "xx" and text[0] in "2345"
        hint = f"write {text[0]}00-{text[0]}99" if is_class else "such as 204, or 300-399; from 200 to 599"
        raise Reject(f"{shown(text)} is no status of an answer", hint)
    return found


class HealthSettings:
    """The settings of the health check."""

    health_type = Setting(
        "health.type",
        _type,
        "http",
        " | ".join(HealthType),
        "What is asked. http: a GET of health.path. tcp: a connection, at a Unix socket too; it is closed at once. "
        "command: health.command. none: nothing, so a worker gets requests as soon as its program has been executed, "
        "and those that come before it listens fail; with listen: fd they wait. health: none is short for it, as is "
        "health: false. With service_type: notify a start is what the program says itself, and this is for afterwards.",
    )
    health_path = Setting(
        "health.path",
        scalar(words.request_path),
        "/health",
        "path",
        "GET of this path answers 200, or a status of health.status, when the worker is ready and well. It is asked of "
        "the worker itself, so without the route.",
    )
    health_host = Setting(
        "health.host",
        optional(scalar(words.host)),
        "null",
        "name | null",
        "The Host field of that request, for programs that answer to names they know alone (Django's ALLOWED_HOSTS); "
        "null: 127.0.0.1 with the port, or localhost at a Unix socket.",
    )
    health_status = Setting(
        "health.status",
        listing(_statuses, least=1),
        "[200]",
        "status | list of statuses and ranges",
        "The statuses that mean well, such as [200, 204, 300-399]. A redirect is not followed.",
    )
    health_command = Setting(
        "health.command",
        parsers.command,
        "[]",
        "command line",
        "A program that exits with 0 when the worker is well, for type: command. It runs in the worker's folder, as "
        "its user, in its sandbox, with its environment and the placeholders of command; but without its credentials, "
        "and so without what an environment_file says. Whoever has the port, it decides alone. After health.timeout it "
        "is killed.",
    )
    health_timeout = Setting("health.timeout", _POSITIVE_SPAN, "5s", _SPAN, "How long one health check may take.")
    health_interval = Setting(
        "health.interval",
        _POSITIVE_SPAN,
        "10s",
        _SPAN,
        "How often the manager asks a worker that runs, by health.type http or tcp; a command is run at the start "
        "alone. An unhealthy one is asked three times as often; one that has had no request for five minutes a third "
        "as often, until it has one.",
    )
    failure_threshold = Setting(
        "health.failure_threshold",
        number(1, 1000),
        "3",
        "number",
        "After so many failed checks in a row the manager restarts the worker, unless it completes requests meanwhile. "
        "The first failed check makes it unhealthy.",
    )
    success_threshold = Setting(
        "health.success_threshold",
        number(1, 1000),
        "2",
        "number",
        "Good checks in a row that make an unhealthy worker healthy again.",
    )
    start_period = Setting(
        "health.start_period",
        scalar(values.span),
        "60s",
        _SPAN,
        "For so long after a start, failed checks do not count for a restart.",
    )
