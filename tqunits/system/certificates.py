"""The router's certificates: loaded completely or not at all, chosen by the server name that a
client sends (SNI), reloaded while the router runs.

One certificate with its key, or a folder of pairs: NAME.pem (the server's own certificate first,
then the chain) and NAME.key. The file's name decides only the order: a pair is used for the DNS
names in its certificate (subjectAltName, RFC 9525 §2), where `*.example.org` covers every name with
one label more. The first pair is used for clients that send no name (RFC 6066 §3) or a name that no
certificate has.

systemd gives the files to the router as credentials (systemd.exec(5), LoadCredential=). From a
folder it makes one credential per file, ID_FILE, and skips symbolic links. Here a folder is read by
the same rule, and a link in it is an error, so that no certificate is missing later.

The settings are Mozilla's "intermediate" ones, as far as Python can set them: TLS 1.2 and 1.3,
forward secrecy and authenticated encryption only, the client's order of ciphers. No compression
(CRIME) and no renegotiation. Session tickets are OpenSSL's, with a key of this process alone. So a
client that comes back to another router process, or after a restart, makes a full handshake, which
costs a millisecond more.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from tqunits.errors import TqunitsError
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

MAX_CERTIFICATES: Final = 1000
"""The greatest number of pairs in a folder. Each takes some 5 ms to load, and meanwhile the router
answers no request."""

SOON_S: Final = 14 * 24 * 3600
"""Seconds before its end when a certificate is reported. Programs that renew certificates of 90
days do so 30 days before the end: two weeks before it they have failed for some time."""

MAX_FILE: Final = 1 << 20
"""The greatest file, in bytes: systemd's limit for credentials (CREDENTIALS_TOTAL_SIZE_MAX)."""

CIPHERS: Final = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for signature in ("ECDSA", "RSA")
)
"""The ciphers of TLS 1.2. Those of TLS 1.3 are all good, and OpenSSL's default. Finite-field
Diffie-Hellman (DHE), which Mozilla keeps for clients older than 2014, needs parameters of its own
and is left out."""

_PEM: Final = late_pattern(r"-----BEGIN CERTIFICATE-----[^-]++-----END CERTIFICATE-----")
_PEM_KEY: Final = late_pattern(r"-----BEGIN (?:(?:EC|RSA|ENCRYPTED) )?PRIVATE KEY-----")
_NO_MATCH: Final = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME (x509_vfy.h), which Python has no name for


class Certificates:
    """The certificates in use. A reload is one assignment; open connections keep the certificate
    that they began with."""

    def __init__(self, certificate: Path, key: Path | None, loaded: _Loaded) -> None:
        self._certificate = certificate
        self._key = key
        self._loaded = loaded

    @classmethod
    def load(cls, certificate: Path, key: Path | None) -> Self:
        """Read them from two files, or from a folder (then `key` is None).

        Raises TqunitsError that names the file and what is wrong with it.
        """
        return cls(certificate, key, _load(certificate, key))

    def reload(self) -> None:
        """Read the same files again. Raises TqunitsError like `load`; then nothing has changed."""
        self._loaded = _load(self._certificate, self._key)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with certificates that are used nevertheless: expired or soon expired, not
        valid yet, without a name.
        """
        return self._loaded.warnings

    @property
    def expired(self) -> tuple[str, ...]:
        """The warnings about expired certificates only."""
        return self._loaded.expired

    @property
    def ends(self) -> Mapping[str, int]:
        """When each certificate is valid no longer, in seconds since 1970, by the name of its
        file."""
        return self._loaded.ends

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a new connection. The name that its client sends may replace it."""
        return self._loaded.context


@dataclass(frozen=True, slots=True)
class _Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The content of all files at one time. A connection begins with the first pair's context,
    until its client sends a name."""

    context: ssl.SSLContext
    warnings: tuple[str, ...]
    expired: tuple[str, ...]
    ends: Mapping[str, int]


def _load(certificate: Path, key: Path | None) -> _Loaded:
    first: ssl.SSLContext | None = None
    names: dict[str, ssl.SSLContext] = {}
    warnings: list[str] = []
    expired: list[str] = []
    ends: dict[str, int] = {}
    for pair in _pairs(certificate, key):
        context = _context(pair)
        found = _look(pair, context)
        gone = tuple(_expired(pair, found))
        expired += gone
        ends[pair.certificate.name.removeprefix(f"{certificate.name}_")] = int(found.ends)  # a credential's has the ID
        warnings += (*gone, *_odd(pair, found))
        for name in found.names:
            names.setdefault(name, context)
        first = first or context
    if first is None:
        raise TqunitsError(f"{certificate}: no certificate in it", hint="put in NAME.pem and NAME.key")
    if len(set(names.values()) | {first}) > 1:
        first.sni_callback = _Choice(names)
    return _Loaded(first, tuple(warnings), tuple(expired), ends)


class _Choice:
    """Chooses a certificate by the name in the client's hello (SNI, RFC 6066 §3)."""

    def __init__(self, names: Mapping[str, ssl.SSLContext]) -> None:
        self._names = names  # lower case

    def __call__(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Called by OpenSSL. Without a change the connection goes on with the first context."""
        if name is not None and (context := self._of(name.lower())) is not None:
            connection.context = context

    def _of(self, name: str) -> ssl.SSLContext | None:
        return self._names.get(name) or self._names.get(f"*.{name.partition('.')[2]}")


def _pairs(certificate: Path, key: Path | None) -> Iterator[_Pair]:
    """The pairs in the order of their names."""
    if key is not None:
        yield _Pair(certificate, key)
        return
    files = _files(certificate)
    stems = sorted({name.rpartition(".")[0] for name in files if name.endswith((".pem", ".key"))})
    if len(stems) > MAX_CERTIFICATES:
        raise TqunitsError(f"{certificate}: more than {MAX_CERTIFICATES} certificates")
    for stem in stems:
        for name, other in ((f"{stem}.pem", f"{stem}.key"), (f"{stem}.key", f"{stem}.pem")):
            if name not in files:
                raise TqunitsError(f"{files[other]}: no {name} beside it", hint="each NAME.pem needs its NAME.key")
        yield _Pair(files[f"{stem}.pem"], files[f"{stem}.key"])


def _files(certificate: Path) -> Mapping[str, Path]:
    """Name -> file, of a folder, or of the credentials that systemd has made from one; then
    `certificate` is their ID."""
    is_folder = certificate.is_dir()
    if not is_folder and certificate.is_file():
        raise TqunitsError(f"{certificate}: no key for it", hint="name its key; only a folder has both")
    folder, prefix = (certificate, "") if is_folder else (certificate.parent, f"{certificate.name}_")
    try:
        found = {p.name.removeprefix(prefix): p for p in folder.iterdir() if p.name.startswith(prefix)}
    except OSError as error:
        raise TqunitsError(f"{folder}: {error.strerror}") from None
    if not found and not is_folder:
        raise TqunitsError(f"{certificate}: no such file or folder")
    for path in found.values():
        if path.is_symlink():
            raise TqunitsError(f"{path}: a symbolic link", hint="systemd takes none from a folder: copy the file")
    return found


def _context(pair: _Pair) -> ssl.SSLContext:
    """The TLS settings of the router, with this certificate."""
    if not _PEM.search(_text(pair.certificate)):
        raise TqunitsError(f"{pair.certificate}: no PEM certificate in it")
    key = _text(pair.key)
    if not _PEM_KEY.search(key):
        raise TqunitsError(f"{pair.key}: no PEM private key in it")
    if "ENCRYPTED" in key:
        raise TqunitsError(f"{pair.key}: encrypted with a passphrase", hint="openssl pkey -in FILE -out NEW")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(pair.certificate, pair.key, password="")  # never ask for a password on a terminal
    except ssl.SSLError as error:
        if error.reason in _NO_MATCH:
            hint = "the server's own certificate comes first in the file, then those that vouch for it"
            raise TqunitsError(f"{pair.key}: not the key of {pair.certificate}", hint=hint) from None
        raise TqunitsError(f"{pair.certificate}: {_words(error)}") from None
    except OSError as error:
        raise TqunitsError(f"{pair.certificate}: {error.strerror}") from None
    return context


@dataclass(frozen=True, slots=True)
class _Found:
    """The contents of a certificate; times in seconds since 1970."""

    names: tuple[str, ...]
    begins: float
    ends: float


def _look(pair: _Pair, context: ssl.SSLContext) -> _Found:
    """Read a certificate as a client sees it: by a whole handshake, in memory, with a client that
    trusts it.

    Python shows only the fields of a peer's certificate; and this proves that certificate and key
    work together.
    """
    leaf = _PEM.search(_text(pair.certificate))
    assert leaf is not None
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    try:
        client.load_verify_locations(cadata=leaf[0])
        seen = _shake_hands(client, context)
    except ssl.SSLError as error:
        raise TqunitsError(f"{pair.certificate}: {_words(error)}") from None
    alternatives = seen.get("subjectAltName")
    pairs = alternatives if isinstance(alternatives, tuple) else ()
    names = (str(value).lower() for kind, value in pairs if kind == "DNS")
    begins, ends = (ssl.cert_time_to_seconds(str(seen[key])) for key in ("notBefore", "notAfter"))
    return _Found(tuple(names), begins, ends)


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> Mapping[str, object]:
    """The server's certificate as the client sees it. Raises ssl.SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for end in ends * 2:  # two turns each: hello, the server's messages, finished
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ends[0].getpeercert() or {}


def _expired(pair: _Pair, found: _Found) -> Iterator[str]:
    if found.ends < time.time():
        yield f"{pair.certificate}: expired on {_date(found.ends)}"


def _odd(pair: _Pair, found: _Found) -> Iterator[str]:
    now = time.time()
    if now <= found.ends < now + SOON_S:
        yield f"{pair.certificate}: expires on {_date(found.ends)}"
    if found.begins > now:
        yield f"{pair.certificate}: not valid before {_date(found.begins)}"
    if not found.names:
        yield f"{pair.certificate}: names no host (subjectAltName), so no client will trust it"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason, without its numbers and the line of C code."""
    verdict = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    return verdict or (error.reason or "OpenSSL can not read it").replace("_", " ").lower()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise TqunitsError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_FILE:
        raise TqunitsError(f"{path}: longer than {MAX_FILE} bytes")
    return content.decode("ascii", "replace")
