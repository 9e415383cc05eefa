"""The rows of SETTINGS for `proxy` of worker.yaml: what the router does for a worker."""

from __future__ import annotations

from tqunits.config import parsers, values
from tqunits.config.parsers import choice, number, scalar
from tqunits.config.setting import Setting
from tqunits.model import ClientGone, Retry

_SIZE, _SPAN, _BOOLEAN = "size", "time span", "true | false"
_NO_LIMIT_SPAN = scalar(values.span)
_TRUTH = scalar(values.boolean)


class ProxySettings:
    """The settings below `proxy`."""

    max_body = Setting("proxy.max_body", scalar(values.size), "0", _SIZE, "The largest request body; 0: no limit.")
    min_body_rate = Setting(
        "proxy.min_body_rate",
        scalar(values.size),
        "1K",
        _SIZE,
        "Bytes a second that a request's body has to come with, on average, while it is the client that is waited for "
        "and the answer has not begun; 0: it may be as slow as it likes, as a stream of events is that a client sends.",
    )
    max_inflight = Setting(
        "proxy.max_inflight",
        number(1, values.MANY),
        "1000",
        "number",
        "Requests at once for this worker; more wait.",
    )
    queue_timeout = Setting(
        "proxy.queue_timeout",
        _NO_LIMIT_SPAN,
        "30s",
        _SPAN,
        "How long a request may wait for an instance.",
    )
    retry = Setting(
        "proxy.retry",
        choice(Retry),
        "idempotent",
        " | ".join(Retry),
        "Which requests may be sent again when the connection to the worker dies before its answer.",
    )
    buffer_requests = Setting(
        "proxy.buffer_requests",
        _TRUTH,
        "false",
        _BOOLEAN,
        "Let the worker see a request only when its body is there, or 72 KiB of it. A body that is there whole has a "
        "Content-Length, also if it came in chunks, of which CGI, PHP and most of WSGI know nothing. Default: true "
        "for python and php, false for others.",
    )
    allow_encoded_slash = Setting(
        "proxy.allow_encoded_slash",
        _TRUTH,
        "false",
        _BOOLEAN,
        "Let %2F in paths through to the worker; else it is 400. It never ends a route's prefix. Registries of npm "
        "packages, RabbitMQ, GitLab, Gitea and Elasticsearch need it.",
    )
    raw_path = Setting(
        "proxy.raw_path",
        _TRUTH,
        "false",
        _BOOLEAN,
        "Let the worker have paths as they were sent, without the route's prefix, for signatures over them. What is "
        "refused stays so; but a path may begin with two slashes then, and have single dots.",
    )
    via = Setting(
        "proxy.via",
        _TRUTH,
        "false",
        _BOOLEAN,
        "Tell the worker of the router in Via. Without it the router is named in CDN-Loop, which ends loops as well: "
        "servers change what they do where there is a Via, and nginx compresses nothing then.",
    )

    on_client_gone = Setting(
        "proxy.on_client_gone",
        choice(ClientGone),
        "finish",
        " | ".join(ClientGone),
        "When a client ends its side of the connection before it has its answer, it has left, or only sends no more "
        "and reads on, which looks the same. finish: the worker goes on until the answer finds nobody. abort: its "
        "connection is closed at once. What is certain (a reset) is always told at once, and nothing is asked again.",
    )
    max_response_head = Setting(
        "proxy.max_response_head",
        parsers.size_between(*values.HEAD_BYTES),
        "32K",
        _SIZE,
        "The longest head of a worker's answer; a longer one is a 502.",
    )
    max_response_fields = Setting(
        "proxy.max_response_fields",
        number(*values.RESPONSE_FIELDS),
        "100",
        "number",
        "Header fields of a worker's answer; with more it is a 502.",
    )
