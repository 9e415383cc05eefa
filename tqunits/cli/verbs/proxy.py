"""Run the router: HTTP/1.1 in front of workers, by path prefix.

Under systemd it takes its sockets from tq-proxy.socket, tq-proxy-ADDRESS.socket (further
addresses) and tq-proxy-control@N.socket, and its routes from --routes FILE. Alone it has them from
--listen and --route:

    $ tqunits proxy --listen 127.0.0.1:8000 --route /api=127.0.0.1:9000 --route /=unix:/run/x.sock

A route is [HOST]/PREFIX=ENDPOINT. The longest prefix on a segment border wins: /api takes /api/x,
never /apix. The worker sees the path without the prefix (and X-Forwarded-Prefix); --keep-prefix
leaves it. The same route given again adds an endpoint. An endpoint is ADDRESS:PORT, [ADDRESS]:PORT
or unix:/PATH. Behind it may stand settings of worker.yaml (timeouts.*, proxy.*, strip_prefix):

    $ tqunits proxy --listen 127.0.0.1:8000 --route /=127.0.0.1:9001,proxy.on_client_gone=abort

FILE is read again when it changes, and at SIGHUP (a bad one is refused, the routes of before stay).
SIGTERM finishes what runs and ends. The control socket speaks HTTP:

    $ sudo curl --unix-socket /run/tqunits/proxy/1/control.sock http://router/status
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tqunits.cli.context import Context
from tqunits.cli.route_options import snapshot_of
from tqunits.cli.span import span_argument
from tqunits.control.server import INHERITED, inherited_control, socket_path
from tqunits.errors import ExitStatus, TqunitsError, UsageError
from tqunits.proxy.listen import listen_on, name_of
from tqunits.proxy.log.sinks import STDOUT, parse_destination
from tqunits.proxy.service import Setup, serve
from tqunits.routing.codec.document import MAX_SNAPSHOT
from tqunits.routing.codec.schema import parse_snapshot
from tqunits.routing.snapshot import DEFAULT_QUEUE_US, Snapshot
from tqunits.routing.spelling import EXAMPLE
from tqunits.system.certificates import Certificates
from tqunits.system.files import read_regular
from tqunits.system.notify import Notifier, inherited_sockets

MAX_SAMPLE: Final = 1_000_000

_STDOUT: Final = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits proxy`."""
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="HOST:PORT, [V6]:PORT or unix:/PATH; repeatable",
    )
    parser.add_argument(
        "--route",
        metavar="ROUTE",
        action="append",
        default=[],
        help="[HOST]/PREFIX=ENDPOINT[,SETTING=VALUE...]; repeatable",
    )
    parser.add_argument("--keep-prefix", action="store_true", help="give the worker the whole path (with --route)")
    parser.add_argument(
        "--queue-timeout",
        metavar="SPAN",
        type=span_argument,
        default=DEFAULT_QUEUE_US,
        help="how long a request waits for an endpoint that takes no connections (with --route; default 30s)",
    )
    parser.add_argument(
        "--routes", metavar="FILE", type=Path, help="the routes as install writes them; reread when it changes"
    )
    parser.add_argument(
        "--control", metavar="SOCKET", type=Path, help="where to make a control socket, if systemd passes none"
    )
    parser.add_argument(
        "--serving", metavar="DIR", type=Path, help="send a worker requests while DIR/NAME/serving is there"
    )
    parser.add_argument(
        "--leave", metavar="SOCKET", type=Path, help="where workers that stop ask whether they are drained"
    )
    parser.add_argument(
        "--traffic", metavar="FILE", type=Path, help="answer with 503 for workers that are stopped in FILE"
    )
    parser.add_argument(
        "--unready", metavar="FILE", type=Path, help="send instances none that fail their health checks by FILE"
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="write to stdout when a worker may have lost its file in DIR: tq-repair.path watches what that is",
    )
    parser.add_argument("--draining", type=Path, help=argparse.SUPPRESS)  # in units of earlier releases
    parser.add_argument(
        "--certificate",
        metavar="PATH",
        type=Path,
        help="speak TLS too, on every address: a PEM chain, or a folder of NAME.pem with NAME.key, chosen by SNI",
    )
    parser.add_argument("--key", metavar="FILE", type=Path, help="the certificate's private key, PEM")
    parser.add_argument("--check", action="store_true", help="only look whether certificate and key are fit for use")
    parser.add_argument(
        "--access-log",
        metavar="WHERE",
        help="journal, combined[:PATH], json[:PATH] (to stdout without PATH) or none; without it, as the routes say",
    )
    parser.add_argument(
        "--journal-namespace",
        metavar="NAME",
        default="",
        help="the journal's namespace that an access log in the journal goes to; without it, the journal itself",
    )
    parser.add_argument(
        "--access-log-sample",
        metavar="N",
        type=_sample,
        default=1,
        help="log one of N requests, and all that failed here or in a worker",
    )


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Serve until SIGTERM."""
    if arguments.key is not None and arguments.certificate is None:
        raise UsageError("--key without a certificate", hint="give --certificate FILE --key FILE")
    if arguments.leave is not None and arguments.serving is None:
        raise UsageError("--leave without --serving", hint="give --serving DIR, where the workers' folders are")
    if arguments.check:
        return _check_certificate(arguments)
    load = _source(arguments)
    log = parse_destination(arguments.access_log or "none", arguments.journal_namespace)  # said before a port is taken
    if arguments.repair and log is not None and log.path == STDOUT:
        raise UsageError("--repair and an access log both write to stdout", hint="give the log a file: json:PATH")
    notifier = Notifier(os.environ)
    inherited = inherited_sockets(os.environ)
    control = inherited_control(inherited) or arguments.control
    sockets = [sock for name, sock in inherited if name != INHERITED]  # an unknown name is that of a drop-in's socket
    if not sockets and not arguments.listen:
        raise UsageError(
            "nothing to listen on", hint="give --listen 127.0.0.1:8080, or start it by tq-proxy.socket (LISTEN_FDS)"
        )
    load()  # a bad route is said before a port is taken
    sockets += [sock for text in arguments.listen for sock in listen_on(text)]
    serve(
        Setup(
            sockets=sockets,
            listening_on=[name_of(sock) for sock in sockets],
            load=load,
            routes=arguments.routes,
            control=control,
            leave=arguments.leave,
            serving=_serving(arguments),
            traffic=arguments.traffic,
            unready=arguments.unready,
            repair=_STDOUT if arguments.repair else None,
            name=_name(control),
            access_log=arguments.access_log,
            namespace=arguments.journal_namespace,
            sample=arguments.access_log_sample,
            certificate=arguments.certificate,
            key=arguments.key,
            notifier=notifier,
            journal="JOURNAL_STREAM" in os.environ and not sys.stderr.isatty(),
        )
    )
    return ExitStatus.OK


def _serving(arguments: argparse.Namespace) -> Path | None:
    """A unit of an earlier release names the folder of its marks, beside the workers' folders."""
    before: Path | None = arguments.draining
    return arguments.serving or (before.parent / "workers" if before else None)


def _name(control: Path | socket.socket | None) -> str:
    """What the process is called in its metrics: as the folder of its control socket."""
    path = socket_path(control) if control else None
    return path.parent.name if path else str(os.getpid())


def _check_certificate(arguments: argparse.Namespace) -> ExitStatus:
    """Raises TqunitsError that says what is wrong with the certificate or its key."""
    if arguments.certificate is None:
        raise UsageError("nothing to check", hint="give --certificate FILE --key FILE")
    for warning in Certificates.load(arguments.certificate, arguments.key).warnings:
        print(warning, file=sys.stderr)
    return ExitStatus.OK


def _sample(text: str) -> int:
    """argparse's type: it wants an ArgumentTypeError to show its text."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_SAMPLE):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {MAX_SAMPLE}")
    return int(text)


def _source(arguments: argparse.Namespace) -> Callable[[], Snapshot]:
    """What gives the snapshot, now and at each reload."""
    file, routes = arguments.routes, tuple(arguments.route)
    if file is not None and routes:
        raise UsageError("--route and --routes exclude each other", hint="put all routes into the file")
    if file is not None:
        return partial(_read, file)
    if not routes:
        raise UsageError("no routes", hint=EXAMPLE)
    snapshot = snapshot_of(routes, strip=not arguments.keep_prefix, queue_us=arguments.queue_timeout)
    return lambda: snapshot


def _read(file: Path) -> Snapshot:
    text = read_regular(file, MAX_SNAPSHOT)
    try:
        return parse_snapshot(text)
    except TqunitsError as error:
        raise TqunitsError(f"{file}: {error.message}", hint=error.hint) from None
