"""Which certificates the router accepts, which one a client gets, and what it reports of the
others."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from secure_peers import KNOWN, Client, client_context, make

from tqunits.errors import TqunitsError
from tqunits.proxy.transport.secured import Step
from tqunits.system.certificates import CIPHERS, Certificates


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates to copy from: a.* for a.example and *.b.example, b.* for b.example and
    a.example, old.* expired."""
    folder = tmp_path_factory.mktemp("kept")
    make(folder, "a", "a.example", "*.b.example")
    make(folder, "b", "B.example", "a.example", key="rsa")
    make(folder, "old", days=-1)
    return folder


def copy(kept: Path, folder: Path, *names: str, prefix: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        for suffix in ("pem", "key"):
            shutil.copy(kept / f"{name}.{suffix}", folder / f"{prefix}{name}.{suffix}")
    return folder


def connect(certificates: Certificates, **options: Any) -> ssl.SSLObject:
    """The client's side after a whole handshake."""
    client = Client(certificates, **options)
    try:
        client.open()
    finally:
        client.close()
    return client.tls


def served(certificates: Certificates, name: str | None) -> bytes:
    """The certificate that a client gets, DER."""
    certificate = connect(certificates, name=name).getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


CHOICES = {
    "exact": ("b.example", "b"),
    "any case": ("B.EXAMPLE", "b"),
    "wildcard": ("x.b.example", "a"),
    "two labels under a wildcard": ("x.y.b.example", "a"),  # no match: the first
    "named by two": ("a.example", "a"),
    "named by none": ("c.example", "a"),
    "no name": (None, "a"),
}


@pytest.mark.parametrize(("name", "expected"), CHOICES.values(), ids=CHOICES)
def test_a_client_gets_the_certificate_for_the_name_it_asks_for(
    kept: Path, tmp_path: Path, name: str | None, expected: str
) -> None:
    folder = copy(kept, tmp_path / "tls", "a", "b")
    (folder / "README").write_text("not ours\n")
    assert served(Certificates.load(folder, None), name) == der(kept / f"{expected}.pem")


def test_the_wildcard_is_for_one_label(kept: Path, tmp_path: Path) -> None:
    folder = copy(kept, tmp_path / "tls", "a", "b")
    for suffix in ("pem", "key"):
        (folder / f"a.{suffix}").rename(folder / f"z.{suffix}")
    certificates = Certificates.load(folder, None)
    assert served(certificates, "x.b.example") == der(kept / "a.pem")
    assert served(certificates, "x.y.b.example") == der(kept / "b.pem")


def test_a_folder_that_systemd_has_taken_apart_is_read_the_same(kept: Path, tmp_path: Path) -> None:
    copy(kept, tmp_path / "credentials", "a", "b", prefix="tls-certificate_")
    (tmp_path / "credentials/other").write_text("x")
    certificates = Certificates.load(tmp_path / "credentials/tls-certificate", None)
    assert served(certificates, "b.example") == der(kept / "b.pem")
    assert served(certificates, None) == der(kept / "a.pem")
    assert certificates.ends.keys() == {"a.pem", "b.pem"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python prints it on stderr
def test_a_name_that_is_no_text_does_no_harm(kept: Path, tmp_path: Path) -> None:
    """A ClientHello with a name that is not ASCII: its handshake alone fails, or it gets the first
    certificate."""
    certificates = Certificates.load(copy(kept, tmp_path / "tls", "a", "b"), None)
    client = Client(certificates, name="aaaa.example")
    client.go_on()
    client.put(client.outgoing.read().replace(b"aaaa.example", b"\xff\xfe\r\n.example"))
    with contextlib.suppress(OSError):
        assert client.secured.handshake() is Step.READ
    client.close()
    assert served(certificates, "b.example") == der(kept / "b.pem")


@pytest.mark.parametrize(("version", "said"), [*zip(KNOWN, ("TLSv1.2", "TLSv1.3"), strict=True)], ids=str)
def test_the_versions_that_are_spoken(kept: Path, version: ssl.TLSVersion, said: str) -> None:
    client = connect(Certificates.load(kept / "a.pem", kept / "a.key"), version=version)
    cipher = client.cipher()
    assert cipher is not None
    assert (client.version(), client.compression()) == (said, None)
    assert said == "TLSv1.3" or cipher[0] in CIPHERS.split(":")


def old_version(context: ssl.SSLContext) -> None:
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def weak_cipher(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA")


@pytest.mark.parametrize("weaken", [old_version, weak_cipher], ids=["TLS 1.1", "no forward secrecy"])
def test_what_is_not_spoken(kept: Path, weaken: Callable[[ssl.SSLContext], None]) -> None:
    context = client_context()
    weaken(context)
    with pytest.raises(ssl.SSLError):
        connect(Certificates.load(kept / "a.pem", kept / "a.key"), context=context)


PROTOCOLS = {"both": (["h2", "http/1.1"], "http/1.1"), "only another": (["h2"], None), "none": ([], None)}


@pytest.mark.parametrize(("offered", "agreed"), PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_protocol_is_http_1_1(kept: Path, offered: list[str], agreed: str | None) -> None:
    context = client_context()
    context.set_alpn_protocols(offered)
    client = connect(Certificates.load(kept / "a.pem", kept / "a.key"), context=context)
    assert client.selected_alpn_protocol() == agreed


def test_a_client_that_comes_back_is_recognized_by_the_same_process_only(kept: Path) -> None:
    first, second = (Certificates.load(kept / "a.pem", kept / "a.key") for _ in range(2))
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = connect(first, context=context).session
    assert connect(first, context=context, session=session).session_reused is True
    assert connect(second, context=context, session=session).session_reused is False


def mangle(path: Path, text: str) -> None:
    path.write_text(text)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no certificate": (lambda f: (f / "a.pem").unlink(), r"a\.pem: No such file"),
    "no key": (lambda f: (f / "a.key").unlink(), r"a\.key: No such file"),
    "folders": (lambda f: make_folder(f / "a.pem"), r"a\.pem: Is a directory"),
    "no PEM": (lambda f: mangle(f / "a.pem", "hello"), r"a\.pem: no PEM certificate"),
    "no PEM key": (lambda f: mangle(f / "a.key", (f / "a.pem").read_text()), r"a\.key: no PEM private key"),
    "encrypted key": (
        lambda f: mangle(f / "a.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        r"a\.key: encrypted",
    ),
    "key of another": (lambda f: shutil.copy(f / "b.key", f / "a.key"), r"a\.key: not the key of .*a\.pem"),
    "broken inside": (
        lambda f: mangle(f / "a.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        r"a\.pem: ",
    ),
    "endless": (lambda f: mangle(f / "a.pem", "x" * (1 << 20 | 1)), r"a\.pem: longer than"),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_of_the_file_and_a_reload_keeps_the_old(
    kept: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    folder = copy(kept, tmp_path / "tls", "a", "b")
    certificates = Certificates.load(folder / "a.pem", folder / "a.key")
    spoil(folder)
    with pytest.raises(TqunitsError, match=message):
        Certificates.load(folder / "a.pem", folder / "a.key")
    with pytest.raises(TqunitsError, match=message):
        certificates.reload()
    assert served(certificates, None) == der(kept / "a.pem")


def test_a_key_of_the_same_kind_is_not_enough(kept: Path, tmp_path: Path) -> None:
    _, key = make(tmp_path, "other", "a.example")
    with pytest.raises(TqunitsError, match=r"other\.key: not the key of .*a\.pem"):
        Certificates.load(kept / "a.pem", key)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (empty, "tls: no certificate in it"),
    "half a pair": (lambda f: (f / "a.key").unlink(), r"a\.pem: no a\.key beside it"),
    "the other half": (lambda f: (f / "a.pem").unlink(), r"a\.key: no a\.pem beside it"),
    "a link": (lambda f: (f / "c.pem").symlink_to(f / "a.pem"), r"c\.pem: a symbolic link"),
    "gone": (shutil.rmtree, "tls: no such file or folder"),
}


@pytest.mark.parametrize(("spoil", "message"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_is_taken_whole_or_not_at_all(
    kept: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    folder = copy(kept, tmp_path / "tls", "a", "b")
    spoil(folder)
    with pytest.raises(TqunitsError, match=message):
        Certificates.load(folder, None)


def test_one_certificate_needs_its_key(kept: Path) -> None:
    with pytest.raises(TqunitsError, match=r"a\.pem: no key for it"):
        Certificates.load(kept / "a.pem", None)


def test_a_reload_takes_the_new_one(kept: Path, tmp_path: Path) -> None:
    folder = copy(kept, tmp_path / "tls", "a")
    certificates = Certificates.load(folder / "a.pem", folder / "a.key")
    for suffix in ("pem", "key"):
        shutil.copy(kept / f"b.{suffix}", folder / f"a.{suffix}")
    certificates.reload()
    assert served(certificates, None) == der(kept / "b.pem")


def test_an_expired_certificate_is_used_and_said(kept: Path) -> None:
    certificates = Certificates.load(kept / "old.pem", kept / "old.key")
    expired, nameless = certificates.warnings
    assert expired.startswith(f"{kept}/old.pem: expired on 20")
    assert "names no host" in nameless
    day = time.strftime("%Y-%m-%d", time.gmtime(certificates.ends["old.pem"]))
    assert f"expired on {day} " in expired
    assert served(certificates, None) == der(kept / "old.pem")
    assert Certificates.load(kept / "a.pem", kept / "a.key").warnings == ()
