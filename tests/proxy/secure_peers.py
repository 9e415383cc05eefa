"""The other end of TLS for tests: certificates by openssl(1), and a client whose ciphertext the
test itself sends."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from pathlib import Path

from tqunits.proxy.transport.secured import RECORD, Secured, Step
from tqunits.proxy.transport.stream import RECEIVE
from tqunits.system.certificates import Certificates
from tqunits.system.process import run

PATIENCE = 30.0
KNOWN = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def make(folder: Path, name: str, *hosts: str, days: int = 30, key: str = "ec") -> tuple[Path, Path]:
    """NAME.pem and NAME.key, self-signed, for these DNS names; `days` -1: expired yesterday."""
    certificate, private, asked = (folder / f"{name}.{suffix}" for suffix in ("pem", "key", "csr"))
    kind = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}[key]
    names = ["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)] if hosts else []
    _openssl("req", "-newkey", *kind, "-nodes", "-keyout", private, "-subj", f"/CN={name}", *names, "-out", asked)
    sign = ["x509", "-req", "-in", asked, "-signkey", private, "-copy_extensions", "copy"]
    _openssl(*sign, "-days", days, "-out", certificate)
    asked.unlink()
    return certificate, private


def _openssl(*words: object) -> None:
    done = run(["openssl", *map(str, words)])
    assert done.returncode == 0, done.stderr


def client_context() -> ssl.SSLContext:
    """A client that accepts every certificate, and notices when it is cut off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def readable(sock: socket.socket) -> None:
    """Wait until the kernel reports it: data that the kernel does not announce is never read."""
    assert select.select([sock], [], [], PATIENCE)[0], "nothing came"


class Client:
    """The client's end of one connection, and the server's end, which the test uses."""

    def __init__(
        self,
        certificates: Certificates,
        *,
        version: ssl.TLSVersion | None = None,
        buffers: int | None = None,
        context: ssl.SSLContext | None = None,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """`name`: the server name to ask for; `context`, `session`: used instead of new ones;
        `version`: the only one allowed."""
        self.server, self.sock = connected(buffers)
        self.secured = Secured(self.server, certificates.context)
        context = context or client_context()
        if version is not None:
            context.minimum_version = context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        self.got = b""  # decrypted
        self.is_open = False

    def go_on(self) -> None:
        """Let the client's OpenSSL process what has arrived."""
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.is_open:
                self.tls.do_handshake()
                self.is_open = True
            while data := self.tls.read(RECORD):
                self.got += data

    def take(self) -> None:
        """Read what is on the socket."""
        with contextlib.suppress(BlockingIOError):
            raw = self.sock.recv(RECEIVE)
            self.incoming.write(raw) if raw else self.incoming.write_eof()
        self.go_on()

    def open(self) -> None:
        """The whole handshake; each side receives all that was sent before the next step."""
        step = Step.READ
        while not (self.is_open and step is Step.DONE):
            self.take()
            self.put(self.outgoing.read())
            step = self.secured.handshake()

    def put(self, raw: bytes) -> None:
        """Send these bytes unencrypted."""
        self.sock.setblocking(True)
        self.sock.sendall(raw)
        self.sock.setblocking(False)

    def records(self, *messages: bytes) -> bytes:
        """Encrypt each message as a write of its own; nothing is sent."""
        for message in messages:
            self.tls.write(message)
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """close_notify; not sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    def receive(self) -> bytes:
        """What the server receives next, after the kernel has reported data."""
        while True:
            readable(self.server)
            with contextlib.suppress(BlockingIOError):
                return self.secured.recv(RECEIVE)

    def close(self) -> None:
        self.server.close()
        self.sock.close()


def connected(buffers: int | None) -> tuple[socket.socket, socket.socket]:
    """A connected pair: without delay in the kernel, or over TCP with small buffers."""
    if buffers is None:
        pair = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
            there = socket.socket()
            there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            there.connect(listening.getsockname())
            pair = (listening.accept()[0], there)
    for sock in pair:
        sock.setblocking(False)
    return pair
