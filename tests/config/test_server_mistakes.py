"""Every kind of mistake in tqunits.yaml: the exact place, message and hint."""

from __future__ import annotations

import pytest

from .parsing import Mistake, errors, server

IN_SERVER: dict[str, Mistake] = {
    "mode": Mistake(
        "mode: dev", 1, 7, "mode: 'dev' is not one of development, production", "did you mean 'development'?"
    ),
    "listen-without-port": Mistake(
        "listen: [8080]", 1, 10, "listen: '8080' is no address with a port", "write 0.0.0.0:8080"
    ),
    "listen-name": Mistake(
        "listen: ['localhost:8080']", 1, 10, "listen: 'localhost' is no address", "write 127.0.0.1:8080"
    ),
    "listen-port-out-of-range": Mistake(
        "listen: ['0.0.0.0:70000']", 1, 10, "listen: 70000 is not within 1 and 65535", "write a number from 1 to 65535"
    ),
    "listen-all-and-one": Mistake(
        "listen: ['0.0.0.0:80', '127.0.0.1:80']",
        1,
        24,
        "listen: 127.0.0.1:80 can not be open beside 0.0.0.0:80, which has it already",
        "leave one of them out",
    ),
    "listen-one-and-all-of-ipv6": Mistake(
        "listen:\n- '[::1]:80'\n- 127.0.0.1:80\n- '[::]:80'",
        4,
        3,
        "listen: [::]:80 can not be open beside [::1]:80, which has it already",
        "leave one of them out",
    ),
    "listen-in-two-spellings": Mistake(
        "listen: ['[::1]:80', '[0:0::1]:80']",
        1,
        22,
        "listen: [0:0::1]:80 can not be open beside [::1]:80, which has it already",
        "leave one of them out",
    ),
    "range-reversed": Mistake(
        "workers: {port_range: 9999-9000}",
        1,
        23,
        "workers.port_range: '9999-9000' ends before it begins",
        "write 9000-9999",
    ),
    "range-privileged": Mistake(
        "workers: {port_range: 80-90}",
        1,
        23,
        "workers.port_range: port 80 needs privilege, which no worker has",
        "take one from 1024 to 65535",
    ),
    "tls-half": Mistake(
        "tls:\n  certificate: /c.pem",
        2,
        16,
        "tls.key is missing",
        "write both, or a folder of NAME.pem and NAME.key with a slash at its end",
    ),
    "tls-other-half": Mistake("tls:\n  key: /k.pem", 2, 8, "tls.certificate is missing", "write both, or none"),
    "tls-folder-and-key": Mistake(
        "tls:\n  certificate: /tls/\n  key: /k.pem",
        3,
        8,
        "tls.key: a folder of certificates has the keys in it",
        "remove it, or write one certificate",
    ),
    "tls-redirect-to-nothing": Mistake(
        "tls: {redirect: yes}", 1, 17, "tls.redirect: there is no tls.certificate", "write one"
    ),
    "tls-hsts-of-nothing": Mistake("tls: {hsts: 1y}", 1, 13, "tls.hsts: there is no tls.certificate", "write one"),
    "tls-hsts-for-ever": Mistake(
        "tls: {hsts: infinity}",
        1,
        13,
        "tls.hsts: 'infinity' is no whole number of seconds",
        "such as 365d, or 0 for none",
    ),
    "tls-hsts-in-parts": Mistake(
        "tls: {hsts: 500ms}",
        1,
        13,
        "tls.hsts: '500ms' is no whole number of seconds",
        "such as 365d, or 0 for none",
    ),
    "metrics-for-everybody": Mistake(
        "manager:\n  metrics: 0.0.0.0:9109",
        2,
        12,
        "manager.metrics: '0.0.0.0' is no loopback address",
        "write 127.0.0.1:9109 or [::1]:9109",
    ),
    "metrics-of-another-family": Mistake(
        "manager: {metrics: '[::ffff:127.0.0.1]:9109'}",
        1,
        20,
        "manager.metrics: '[::ffff:127.0.0.1]' is no loopback address",
        "write 127.0.0.1:9109 or [::1]:9109",
    ),
    "metrics-on-an-interface": Mistake(
        "manager: {metrics: '[::1%lo]:9109'}",
        1,
        20,
        "manager.metrics: '[::1%lo]' is no loopback address",
        "write 127.0.0.1:9109 or [::1]:9109",
    ),
    "metrics-by-name": Mistake(
        "manager: {metrics: localhost:9109}",
        1,
        20,
        "manager.metrics: 'localhost' is no address",
        "write 127.0.0.1:9109",
    ),
    "metrics-on-a-port": Mistake(
        "manager: {metrics: 9109}",
        1,
        20,
        "manager.metrics: '9109' is no address with a port",
        "write 127.0.0.1:9109",
    ),
    "metrics-with-privilege": Mistake(
        "manager: {metrics: 127.0.0.1:80}",
        1,
        20,
        "manager.metrics: port 80 needs privilege, which the manager has not",
        "take one from 1024 to 65535",
    ),
    "metrics-in-a-file": Mistake(
        "manager: {metrics: /run/metrics.sock}",
        1,
        20,
        "manager.metrics: '/run/metrics.sock' is a path",
        "the manager makes no files: write 127.0.0.1:9109 or [::1]:9109",
    ),
    "metrics-where-the-router-is": Mistake(
        "manager: {metrics: 127.0.0.1:8080}",
        1,
        20,
        "manager.metrics: 127.0.0.1:8080 can not be open beside 0.0.0.0:8080, which is the router's",
        "take another port",
    ),
    "network": Mistake(
        "proxy: {trusted_proxies: [10.0.0.1/8]}",
        1,
        27,
        "proxy.trusted_proxies: '10.0.0.1/8' is no network",
        "such as 10.0.0.0/8 or 2001:db8::/32",
    ),
    "default-of-path": Mistake(
        "defaults:\n  path: /x",
        2,
        3,
        "'path' is no default: it differs from worker to worker",
        "write it in each worker.yaml",
    ),
    "default-unknown": Mistake(
        "defaults: {limits: {memory: 1G}}", 1, 21, "unknown key 'memory'", "did you mean 'memory_max'?"
    ),
    "unknown-key": Mistake("worker: {directory: /x}", 1, 1, "unknown key 'worker'", "did you mean 'workers'?"),
}


@pytest.mark.parametrize(
    "listen",
    [
        "['0.0.0.0:80', '[::]:80']",  # BindIPv6Only=ipv6-only
        "['0.0.0.0:80', '0.0.0.0:443']",
        "['127.0.0.1:80', '127.0.0.2:80', '[::]:80']",
        "['0.0.0.0:80', '127.0.0.1:443', /run/http.sock]",
    ],
)
def test_addresses_that_can_be_open_at_once_are_no_mistake(listen: str) -> None:
    assert errors(server(f"listen: {listen}").diagnostics) == []


@pytest.mark.parametrize("mistake", IN_SERVER.values(), ids=IN_SERVER)
def test_a_mistake_in_tqunits_yaml_is_said_with_its_place_and_a_hint(mistake: Mistake) -> None:
    place = f"tqunits.yaml:{mistake.line}:{mistake.column}"
    assert errors(server(mistake.yaml).diagnostics) == [(place, mistake.message, mistake.hint)]
