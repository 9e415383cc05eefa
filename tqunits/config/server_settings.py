"""The rows of SETTINGS for tqunits.yaml, except `defaults:`, which holds settings of
worker.yaml."""

from __future__ import annotations

from typing import TypeVar

from tqunits.config import parsers, values, words
from tqunits.config.grant_parser import grants as read_grants
from tqunits.config.parsers import choice, listing, number, optional, scalar
from tqunits.config.scale_parser import scale as read_scale
from tqunits.config.setting import File, Setting
from tqunits.config.watch_settings import BY_MODE, BY_MODE_TAKES
from tqunits.model import Mode

T = TypeVar("T")

_SPAN = "time span"
_SIZE = "size"
_NO_LIMIT_SPAN = scalar(values.span)
_POSITIVE_SPAN = scalar(parsers.positive_span)


def _row(
    key: str,
    parse: parsers.Parser[T],
    default: str,
    takes: str,
    doc: str,
    *,
    fills: str = "",
    feeds: str = "",
    in_effect: bool = True,
) -> Setting[T]:
    return Setting(
        key,
        parse,
        default,
        takes,
        doc,
        file=File.SERVER,
        fills=fills,
        feeds=feeds,
        in_effect=in_effect,
        for_all=False,
    )


def _watch(what: str, doc: str) -> Setting[bool | None]:
    """A row about what the manager has applied by itself."""
    return _row(f"watch.{what}", BY_MODE, "null", BY_MODE_TAKES, doc, feeds="ExecStart= of tq-manager.service")


class ServerSettings:
    """The settings of tqunits.yaml."""

    mode = _row(
        "mode",
        choice(Mode),
        "production",
        " | ".join(Mode),
        "What the host is for. Workers are told in WORKER_MODE. In development each worker runs from its folder: "
        "`tqunits deploy` makes no release of it, and none from before is run.",
        feeds="WORKER_MODE",
    )
    listen = _row(
        "listen",
        listing(words.listen_address, least=1),
        '["0.0.0.0:8080", "[::]:8080"]',
        "list of ADDRESS:PORT, [ADDRESS]:PORT or /path.sock",
        "What the router listens on. Ports under 1024 work too: systemd opens them, each address in a unit of its own, "
        "so that a change of one closes no other. A new one is tried before anything is changed.",
        feeds="ListenStream= of tq-proxy.socket (the first), tq-proxy-ADDRESS.socket (the others)",
    )
    directory = _row(
        "workers.directory",
        scalar(words.folder),
        "/srv/tqunits/workers",
        "path",
        "The folder of the workers' folders. With -C DIR the default is DIR/workers, with --user it is "
        "~/.local/share/tqunits/workers.",
    )
    port_range = _row(
        "workers.port_range",
        scalar(words.port_range),
        "9000-9999",
        "FIRST-LAST",
        "Ports that are assigned to workers, both ends included.",
    )
    processes = _row(
        "proxy.processes",
        number(1, 64),
        "1",
        "number",
        "Router processes; they share one listening socket.",
        feeds="tq-proxy@N",
    )
    max_connections = _row(
        "proxy.max_connections",
        number(1, 1_000_000),
        "20000",
        "number",
        "Connections of clients at once, per process; beyond that the one that is idle for longest is closed.",
    )
    max_connections_per_client = _row(
        "proxy.max_connections_per_client",
        number(0, 1_000_000),
        "1000",
        "number",
        "The same, of one address that is no trusted proxy's, and more are closed at once; 0: no limit.",
    )
    max_request_line = _row(
        "proxy.max_request_line",
        parsers.size_between(1024, 65_536),
        "8K",
        _SIZE,
        "The longest request line; a longer one is answered 414.",
        fills="proxy.heads.request_line",
    )
    max_head = _row(
        "proxy.max_head",
        parsers.size_between(*values.HEAD_BYTES),
        "32K",
        _SIZE,
        "The longest head of a request; a longer one is answered 431.",
        fills="proxy.heads.head",
    )
    max_fields = _row(
        "proxy.max_fields",
        number(10, 1000),
        "100",
        "number",
        "Header fields of a request; with more it is answered 431.",
        fills="proxy.heads.fields",
    )
    trusted_proxies = _row(
        "proxy.trusted_proxies",
        listing(words.network),
        "[]",
        "list of networks",
        "Load balancers that are believed: X-Forwarded-*, Forwarded and X-Request-ID fields, PROXY protocol.",
    )
    access_log = _row(
        "proxy.access_log",
        scalar(parsers.access_log),
        "journal",
        "journal | none",
        "Where requests are logged; tqunits logs --access shows them.",
    )
    head = _row("timeouts.head", _POSITIVE_SPAN, "10s", _SPAN, "A client must have sent a request's head by then.")
    idle = _row("timeouts.idle", _POSITIVE_SPAN, "120s", _SPAN, "A client's unused connection is kept so long.")
    drain = _row(
        "timeouts.drain",
        _NO_LIMIT_SPAN,
        "30s",
        _SPAN,
        "A router that stops finishes its requests so long.",
    )
    certificate = _row(
        "tls.certificate",
        optional(scalar(words.path)),
        "null",
        "path | path/ | null",
        "The certificate chain, PEM: the server's own first. With a slash at its end a folder of NAME.pem and "
        "NAME.key, of which each serves the hosts it names, and the first all others. Every address of `listen` "
        "speaks HTTPS then as well. Give the files a folder of their own: a change in it restarts the router "
        "processes, one by one.",
        feeds="LoadCredential= of tq-proxy@.service, PathChanged= of tq-proxy-certificate.path",
    )
    key = _row(
        "tls.key",
        optional(scalar(words.path)),
        "null",
        "path | null",
        "Its private key, PEM, without a passphrase. A folder of certificates has the keys in it.",
        feeds="LoadCredential= of tq-proxy@.service, PathChanged= of tq-proxy-certificate.path",
    )
    redirect = _row(
        "tls.redirect", scalar(values.boolean), "false", "true | false", "Send plain HTTP to HTTPS, with status 308."
    )
    hsts = _row(
        "tls.hsts",
        scalar(parsers.whole_seconds),
        "0",
        _SPAN,
        "So long a browser that was here by HTTPS comes by nothing else (Strict-Transport-Security); 0: not said. What "
        "a worker says of it itself stands.",
    )
    metrics = _row(
        "manager.metrics",
        optional(scalar(words.loopback_address)),
        "null",
        "127.0.0.1:PORT | [::1]:PORT | null",
        "Where the manager answers GET /metrics with OpenMetrics text about routers and workers; null: nowhere. Every "
        "user of this host, workers too, can ask there. No worker is assigned the port. A change restarts the manager "
        "alone.",
        feeds="ExecStart= of tq-manager.service",
    )
    max_parallel_rolls = _row(
        "manager.max_parallel_rolls",
        number(1, 100),
        "2",
        "number",
        "Workers whose instances `tqunits deploy` replaces at once. A change restarts the manager alone.",
        feeds="ExecStart= of tq-manager.service",
    )
    keep_releases = _row(
        "manager.keep_releases",
        number(1, 1000),
        "5",
        "number",
        "Releases of a worker that are kept. Older ones are removed after a deploy, or by `tqunits prune`, but not "
        "those that run, nor the last stable one.",
    )
    watch_enabled = _watch(
        "enabled",
        "Whether a change of this file, or of one in tqunits.yaml.d, is applied by itself, as `tqunits apply` does: "
        "a file with an error changes nothing, no worker is removed, and none that runs is stopped. null: in "
        "development mode only. For the files of workers it is watch.enabled of worker.yaml that counts, which "
        "`defaults` may have for all of them.",
    )
    watch_new = _watch(
        "new",
        "Whether a new folder in workers.directory is installed by itself as soon as it has a valid worker.yaml. null: "
        "in development mode only. A folder that goes takes no worker with it: that one is served on until "
        "`tqunits apply` or `tqunits uninstall`.",
    )
    grants = Setting(
        "grants",
        read_grants,
        "{}",
        "mapping of workers' names, or *, to mappings",
        "What a worker may have that is not root's (its worker.yaml, or a folder above it, can be changed by somebody "
        "else), besides what each of them has: the route /NAME, an assigned port or a socket, the account worker-NAME, "
        "files below its own folder, the sandboxes strict, standard and jit, and limits up to those of defaults. "
        "Keys: routes, hosts, ports, user, group, credentials, environment_files and static (paths, * stands for any "
        "part of a name), depends (units), limits (the most of each), sandbox (profiles and relaxations), unit "
        "(directives), operators (users and %groups). The grant of a name replaces that of *. A grant counts in "
        "/etc/tqunits alone, and only where workers.directory and all above it are root's.",
        file=File.SERVER,
        for_all=False,
        merges=1,
    )
    scale = Setting(
        "scale",
        read_scale,
        "{}",
        "mapping of workers' names to numbers",
        "How many instances a worker has, such as {api: 3}, in the place of scaling.min_workers of its worker.yaml. It "
        "takes no grant, whoever may change that file. `tqunits scale NAME=N` writes it to tqunits.yaml.d/scale.yaml.",
        file=File.SERVER,
        for_all=False,
        merges=1,
    )
