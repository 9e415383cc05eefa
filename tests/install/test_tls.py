"""HTTPS with systemd and the router: certificates are credentials, and a new one is used without a
gap."""

from __future__ import annotations

import socket
import ssl

import pytest

from .conftest import LISTEN, Site
from .control import TWO, echo, held, signal
from .hammering import check, hammered, rude

FOLDER = "/etc/router-tls"
CERTIFICATE, KEY = f"{FOLDER}/site.pem", f"{FOLDER}/site.key"
TLS = f"tls: {{certificate: {CERTIFICATE}, key: {KEY}}}\n"
WATCH = ("tq-proxy-certificate.path", "tq-proxy-certificate.service")
RETRY = "/etc/systemd/system/tq-proxy-certificate.service.d/50-test.conf"


def make(site: Site, stem: str, host: str = "localhost") -> None:
    """A new key and a certificate for it: STEM.pem and STEM.key, each replaced atomically."""
    script = (
        f"mkdir -p {FOLDER} && cd $(mktemp -d) && "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -days 30"
        f" -subj /CN={host} -addext subjectAltName=DNS:{host} && mv k {stem}.key && mv c {stem}.pem"
    )
    site.machine.run(["sh", "-c", script])


def pids(site: Site, count: int = 2) -> list[str]:
    return [site.machine.show(f"tq-proxy@{process}.service", "MainPID") for process in range(1, count + 1)]


def seen(site: Site, host: str = "localhost") -> bytes:
    """The certificate that a client receives, in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(site.machine.connect(LISTEN), server_hostname=host) as connection:
        return connection.getpeercert(binary_form=True) or b""


def lies(site: Site, path: str = CERTIFICATE) -> bytes:
    """The certificate in a file, in DER."""
    return ssl.PEM_cert_to_DER_cert(site.machine.read(path))


@pytest.fixture
def secure(site: Site) -> Site:
    """A site with a certificate, not installed yet; a failed check is repeated soon."""
    site.machine.remove(FOLDER)
    make(site, f"{FOLDER}/site")
    site.server(TLS + TWO)
    site.machine.write(RETRY, "[Service]\nRestartSec=200ms\n")
    return site


def test_a_new_certificate_is_taken_by_one_process_after_the_other_and_nothing_is_lost(secure: Site) -> None:
    rude(secure)
    before = pids(secure)
    assert seen(secure) == lies(secure)
    with hammered(secure, 20, scheme="https") as report:
        make(secure, f"{FOLDER}/site")
        secure.machine.wait_until(lambda: not set(pids(secure)) & {*before, "0"})
        secure.machine.wait_until(lambda: secure.machine.show(WATCH[1], "ActiveState") == "inactive")
        assert [seen(secure) for _ in range(8)] == [lies(secure)] * 8
    check(secure, report)
    first_is_back = secure.machine.show("tq-proxy@1.service", "ActiveEnterTimestampMonotonic")
    assert int(secure.machine.show("tq-proxy@2.service", "ActiveExitTimestampMonotonic")) >= int(first_is_back)


def test_a_pair_that_does_not_fit_is_never_taken(secure: Site) -> None:
    secure.worker("alpha")
    secure.install()
    before, served = pids(secure), lies(secure)
    make(secure, "/etc/other")
    secure.machine.run(["mv", "/etc/other.key", KEY])  # and no certificate for it yet
    secure.machine.wait_until(lambda: secure.machine.show(WATCH[1], "NRestarts") not in {"0", "1"})
    assert "not the key of" in secure.machine.journal(WATCH[1])
    assert (pids(secure), seen(secure)) == (before, served)
    secure.machine.run(["mv", "/etc/other.pem", CERTIFICATE])
    secure.machine.wait_until(lambda: not set(pids(secure)) & {*before, "0"})
    secure.machine.wait_until(lambda: seen(secure) == lies(secure))


@pytest.mark.long
def test_a_change_while_another_is_taken_is_not_missed(secure: Site) -> None:
    """The first process has the second certificate, and is not stopped again when the third one
    comes."""
    secure.server(TLS + TWO)
    echo(secure)
    with held(secure, 2, "first") as client, client.makefile("rb") as answer:
        make(secure, f"{FOLDER}/site")
        secure.machine.wait_until(lambda: secure.machine.show("tq-proxy@2", "ActiveState") == "deactivating")
        make(secure, f"{FOLDER}/site")
        signal(secure, "tq-worker@alpha", "USR1")
        assert answer.read().endswith(b"done")
    secure.machine.wait_until(lambda: secure.machine.show(WATCH[1], "ActiveState") == "inactive")
    assert [seen(secure) for _ in range(8)] == [lies(secure)] * 8


def test_a_folder_has_a_certificate_for_each_name(secure: Site) -> None:
    make(secure, f"{FOLDER}/zoo", "zoo.example")
    secure.server(f"tls: {{certificate: {FOLDER}/}}\n")
    secure.worker("alpha")
    secure.install()
    assert seen(secure, "zoo.example") == lies(secure, f"{FOLDER}/zoo.pem")
    assert seen(secure, "localhost") == lies(secure) == seen(secure, "unknown.example")
    make(secure, f"{FOLDER}/new", "new.example")
    secure.machine.wait_until(lambda: seen(secure, "new.example") == lies(secure, f"{FOLDER}/new.pem"))


def test_the_key_is_in_no_folder_that_is_served(secure: Site) -> None:
    folder = "/run/credentials/tq-proxy@1.service"
    static = "path: /docs\ntype: static\nstatic: {{directory: {}}}\n"
    secure.server(TLS)
    secure.yaml("docs", static.format("/srv/keys"))
    secure.machine.run(["ln", "-s", folder, "/srv/keys"])
    secure.install()
    answers = [secure.get(f"/docs/{name}") for name in ("tls-key", "tls-certificate")]
    secure.machine.remove("/srv/keys")
    assert [status for status, _ in answers] == [404, 404], answers
    said = f"worker docs: no file of /srv/keys is served: it leads to {folder}, and nothing below /run is served"
    assert said in secure.machine.journal("tq-proxy@1.service")
    secure.yaml("docs", static.format(folder))
    assert "static.directory: nothing below /run is served" in secure.install(status=1)


@pytest.mark.long
def test_without_a_certificate_in_the_yaml_the_watch_is_gone(secure: Site) -> None:
    secure.worker("alpha")
    secure.install()
    assert secure.machine.systemctl("is-active", WATCH[0]) == "active\n"
    assert secure.get("/alpha/health") == (200, "ok")  # plain HTTP on the same address
    secure.server("")
    secure.machine.remove(RETRY)
    secure.install()
    assert not [unit for unit in secure.units() if unit in WATCH]
    assert not [path for path in secure.files() if "certificate" in path]
    assert secure.get("/alpha/health") == (200, "ok")
    with pytest.raises((ssl.SSLError, ConnectionError, socket.timeout)):
        seen(secure)
    assert "nothing to do" in secure.install()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (f"rm {CERTIFICATE}", f"{CERTIFICATE}: No such file or directory"),
        (f"rm {KEY}", f"{KEY}: No such file or directory"),
        (f"echo nonsense > {CERTIFICATE}", f"{CERTIFICATE}: no PEM certificate in it"),
    ],
    ids=["no-certificate", "no-key", "nonsense"],
)
def test_install_refuses_what_the_router_could_not_serve_with(secure: Site, damage: str, words: str) -> None:
    secure.machine.run(["sh", "-c", damage])
    secure.worker("alpha")
    before = secure.files()
    said = secure.install(status=1)
    assert words in said
    assert "/srv/site/config/tqunits.yaml:1:" in said
    assert secure.files() == before
    assert secure.units() == []


SIGN = f"openssl x509 -in {CERTIFICATE} -signkey {KEY} -out /etc/c"  # OpenSSL 3.4 takes no -1, earlier ones no dates
UNFIT = {
    "key": (f"cp /etc/other.key {KEY}", "key", f"{KEY}: not the key of {CERTIFICATE}"),
    "passphrase": (
        f"openssl pkey -aes256 -passout pass:x -in {KEY} -out /etc/k && mv /etc/k {KEY}",
        "key",
        "encrypted",
    ),
    "no key": (f"rm {KEY}", "key", f"{KEY}: No such file"),
    "text": (f"echo x > {CERTIFICATE}", "certificate", "no PEM certificate in it"),
    "expired": (
        f"{SIGN} -days -1 || {SIGN} -not_before 20200101000000Z -not_after 20200201000000Z; mv /etc/c {CERTIFICATE}",
        "certificate",
        f"{CERTIFICATE}: expired on",
    ),
}


def test_what_does_not_fit_is_refused_before_anything_is_changed(secure: Site) -> None:
    secure.server(TWO)
    echo(secure)
    before, running = secure.files(), pids(secure)
    secure.server(TLS + TWO)
    for script, key, message in UNFIT.values():
        make(secure, f"{FOLDER}/site")
        make(secure, "/etc/other")
        secure.machine.run(["sh", "-ec", script])
        said = secure.install(status=1)
        column = TLS.index(f"{key}:") + 1
        assert f"tqunits.yaml:1:{column}: tls: " in said, said
        assert message in said
        assert (secure.files(), pids(secure)) == (before, running)
    make(secure, f"{FOLDER}/site")
    secure.install()
    assert seen(secure) == lies(secure)


def test_tls_is_switched_on_and_no_connection_is_refused(secure: Site) -> None:
    secure.server(TWO)
    rude(secure)
    with hammered(secure, 20) as report:
        secure.server(f"listen: ['0.0.0.0:{LISTEN}', '0.0.0.0:8443']\n{TLS}{TWO}")
        secure.install()
        url = "https://localhost:8443/alpha/?id=x"
        assert (
            secure.machine.run(["curl", "-skf", "-m", "9", "-o", "/dev/null", "-w", "%{http_code}", url]).stdout
            == "200"
        )
    check(secure, report)


@pytest.mark.long
def test_who_lets_a_certificate_expire_may_install_other_things_still(secure: Site) -> None:
    echo(secure)
    secure.machine.run(["sh", "-ec", UNFIT["expired"][0]])
    secure.worker("beta")
    assert f"warning: tls: {CERTIFICATE}: expired on" in secure.install()
    assert secure.machine.show("tq-worker@beta.service", "ActiveState") == "active"
