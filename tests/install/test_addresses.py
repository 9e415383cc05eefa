"""The addresses of the router are changed under load: an address that stays is never closed, and a
new one is tried first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import LISTEN, Site
from .hammering import check, hammered, rude

FIRST = f"0.0.0.0:{LISTEN}"  # to which the clients send requests all the time
OTHER = "127.0.0.2:8081"
THIRD = "[::1]:8082"


def listen(site: Site, *addresses: str, processes: int = 1, more: str = "") -> None:
    """Write tqunits.yaml."""
    site.server(f"listen: [{', '.join(map(repr, addresses))}]\nproxy: {{processes: {processes}}}\n{more}")


def code(site: Site, address: str) -> str:
    """The status of an answer on this address; "000" if nothing listens there."""
    url = f"http://{address.replace('0.0.0.0', '127.0.0.1')}/alpha/?id=x"
    return site.machine.run(["curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", url], check=False).stdout


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 1])
def test_addresses_come_go_and_change_places_and_the_one_that_stays_refuses_nobody(site: Site, processes: int) -> None:
    listen(site, OTHER, FIRST, processes=processes)
    rude(site)
    with hammered(site, 20) as report:
        for addresses in ((OTHER, FIRST, THIRD), (FIRST, THIRD, OTHER), (FIRST,), (THIRD, FIRST)):
            listen(site, *addresses, processes=processes)
            site.install()
            assert [code(site, address) for address in addresses] == ["200"] * len(addresses)
            gone = {OTHER, FIRST, THIRD} - set(addresses)
            assert {code(site, address) for address in gone} <= {"000"}
            assert "nothing to do" in site.install()
    check(site, report)


PIPE = -1  # subprocess.PIPE
HOLDER = """\
import socket, sys

host, port = sys.argv[1].rsplit(":", 1)
family = socket.AF_INET6 if ":" in host else socket.AF_INET
sock = socket.create_server((host.strip("[]"), int(port)), family=family, dualstack_ipv6=host == "[::]")
print("begun", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(site: Site, address: str) -> Iterator[None]:
    """Another program listens on an address meanwhile."""
    with site.machine.start(["python3", "-c", HOLDER, address], stdin=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()


@pytest.mark.short("0.0.0.0:8085-127.0.0.1:8085")
@pytest.mark.parametrize(
    ("has", "wants"),
    [
        ("0.0.0.0:8085", "127.0.0.1:8085"),
        (THIRD, THIRD),
        ("[::]:8085", "0.0.0.0:8085"),
        ("127.0.0.1:8085", "0.0.0.0:8085"),
    ],
)
def test_an_address_that_another_has_is_refused_before_anything_is_changed(site: Site, has: str, wants: str) -> None:
    listen(site, FIRST)
    site.worker("alpha")
    site.install()
    before = site.files()
    listen(site, FIRST, wants)
    site.worker("beta")
    with holder(site, has):
        said = site.install(status=1)
        assert site.files() == before
        assert site.get("/alpha/health") == (200, "ok")
        assert re.search(
            rf"tqunits.yaml:1:\d+: .*{re.escape(wants)} is in use by process \d+ \(python3\) of root", said
        )
        assert (f"which listens on {has}" in said) == (has != wants)
        assert f"{wants} is in use by" in site.run("doctor", status=1)
        assert f"{wants} is in use by" in site.run("install", "--dry-run", "--now", status=1)
    site.install()
    assert code(site, wants.replace("0.0.0.0", "127.0.0.1")) != "000"


def test_an_address_that_a_socket_unit_has_is_that_units(site: Site) -> None:
    unit = "[Socket]\nListenStream=127.0.0.1:8085\nAccept=yes\n"
    site.machine.write("/run/systemd/system/other.socket", unit)
    site.machine.write("/run/systemd/system/other@.service", "[Service]\nExecStart=/bin/true\n")
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("start", "other.socket")
    listen(site, "127.0.0.1:8085")
    site.worker("alpha")
    assert "127.0.0.1:8085 is in use by process 1 (systemd) of root, other.socket" in site.install(status=1)
    assert not site.machine.exists("/etc/systemd/system/tq-proxy.socket")
    site.machine.systemctl("stop", "other.socket")
    site.install()


@pytest.mark.long
def test_what_is_taken_after_the_trial_is_said_with_who_has_it(site: Site) -> None:
    """The drop-in simulates a race: systemd has to open an address that install has not tried."""
    unit = "tq-proxy-127.0.0.2:8081.socket"
    listen(site, FIRST)
    site.worker("alpha")
    site.install()
    site.machine.write(f"/etc/systemd/system/{unit}.d/50-test.conf", "[Socket]\nListenStream=127.0.0.1:8085\n")
    listen(site, FIRST, OTHER)
    with holder(site, "127.0.0.1:8085"):
        said = site.install(status=1)
        assert site.get("/alpha/health") == (200, "ok")
    assert re.search(
        rf"{re.escape(unit)}: .*\n(.*\n)*.*127.0.0.1:8085 is in use by process \d+ \(python3\) of root", said
    )
    site.install()
    assert code(site, OTHER) != "000"
    assert "nothing to do" in site.install()


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 1])
def test_an_address_that_is_in_the_way_of_its_successor_gives_way(site: Site, processes: int) -> None:
    narrow = f"127.0.0.1:{LISTEN}"
    listen(site, FIRST, OTHER, processes=processes)
    rude(site)
    for addresses in ((narrow, OTHER), (OTHER, FIRST)):
        listen(site, *addresses, processes=processes)
        site.install()
        assert [code(site, address) for address in addresses] == ["200", "200"]
        assert "nothing to do" in site.install()


@pytest.mark.long
def test_without_now_what_is_open_stays_and_what_waits_is_said(site: Site) -> None:
    listen(site, OTHER, FIRST)
    rude(site)
    with hammered(site, 10) as report:
        listen(site, FIRST, THIRD)
        said = site.run("install")
        assert "tq-proxy.socket still listens where it did; it takes the change with 'tqunits install --now'" in said
        assert "tq-proxy@1.service still runs as it was; 'tqunits install --now' restarts it" in said
        assert "tq-proxy.socket still listens where it did" in site.run("install")
        site.machine.systemctl("daemon-reload")
        assert code(site, OTHER) == "200"
        site.install()
        assert [code(site, address) for address in (FIRST, THIRD, OTHER)] == ["200", "200", "000"]
    check(site, report)


def test_an_address_that_no_interface_has_is_said_and_served_when_one_has_it(site: Site) -> None:
    later = "192.0.2.7:8085"
    listen(site, FIRST, later)
    rude(site)
    assert "192.0.2.7:8085 is no address of this host now" in site.run("doctor")
    site.machine.run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"])
    try:
        assert code(site, later) == "200"
        assert "is no address" not in site.run("doctor")
    finally:
        site.machine.run(["ip", "address", "del", "192.0.2.7/32", "dev", "lo"])


@pytest.mark.long
def test_a_socket_of_an_earlier_release_with_all_addresses_is_taken_over_open(site: Site) -> None:
    listen(site, FIRST)
    rude(site)
    folder = "/etc/systemd/system"
    ours = site.machine.read(f"{folder}/tq-proxy.socket")
    site.machine.systemctl("stop", "tq.target")
    line = f"ListenStream={FIRST}\n"
    site.machine.write(f"{folder}/tq-proxy.socket", ours.replace(line, f"{line}ListenStream={OTHER}\n"))
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("start", "tq.target")
    with hammered(site, 10) as report:
        for addresses in ((OTHER, THIRD, FIRST), (THIRD, FIRST)):
            listen(site, *addresses)
            site.install()
            assert [code(site, address) for address in addresses] == ["200"] * len(addresses)
        assert code(site, OTHER) == "000"
    check(site, report)
    assert "nothing to do" in site.install()
