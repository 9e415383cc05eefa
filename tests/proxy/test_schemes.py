"""Redirects to HTTPS do not loop behind a proxy that ends TLS for the client, whichever field it
announces that with."""

from __future__ import annotations

from pathlib import Path

import pytest
from control_peers import relayed
from peers import OK, Router, answering
from secure_peers import make

END = b"Host: a\r\nConnection: close\r\n\r\n"


async def ask(router: Router, lines: bytes) -> bytes:
    return await router.ask(b"GET /x?y HTTP/1.1\r\n" + lines + END)


HTTPS = {
    "Traefik": b"X-Forwarded-Proto: wss\r\n",
    "a list": b"X-Forwarded-Proto: https, https\r\n",
    "twice": b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n",
    "CloudFront and Heroku": b"X-Forwarded-Proto: https,http\r\n",
    "Forwarded": b"Forwarded: for=203.0.113.7;proto=https\r\n",
    "Ssl": b"X-Forwarded-Ssl: on\r\n",
    "Scheme": b"X-Forwarded-Scheme: https\r\n",
    "Microsoft": b"Front-End-Https: On\r\n",
    "CloudFront": b"CloudFront-Forwarded-Proto: https\r\n",
}


@pytest.mark.parametrize("lines", HTTPS.values(), ids=HTTPS.keys())
async def test_a_redirect_does_not_loop_behind_a_proxy_that_speaks_https(folder: Path, lines: bytes) -> None:
    make(folder, "a", "a.example")
    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    redirect = {"redirect": True}

    trusted = ["127.0.0.0/8"]
    async with relayed(folder, answering(OK), *options, tls=redirect, trusted=trusted) as (router, worker):
        assert (await ask(router, lines)).endswith(b"ok")
        assert b"\r\nX-Forwarded-Proto: https\r\n" in worker.seen[0]
        assert worker.seen[0].count(b"X-Forwarded-Proto") == 1
        assert (await ask(router, b"X-Forwarded-Proto: http,https\r\n")).startswith(b"HTTP/1.1 308 ")
        assert (await ask(router, b"")).startswith(b"HTTP/1.1 308 ")
        assert "both" not in router.said()


async def test_two_fields_that_contradict_each_other_mean_https_and_are_said_once(folder: Path) -> None:
    make(folder, "a", "a.example")
    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    lines = (
        b"X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on\r\n",
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Scheme: http\r\n",
    )

    redirect, trusted = {"redirect": True}, ["127.0.0.0/8"]
    async with relayed(folder, answering(OK), *options, tls=redirect, trusted=trusted) as (router, worker):
        for _ in range(3):
            for line in lines:
                assert (await ask(router, line)).endswith(b"ok")
        assert all(b"\r\nX-Forwarded-Proto: https\r\n" in seen for seen in worker.seen)
        said = [line for line in router.said().splitlines() if "contradict" in line]
        assert len(said) == 2 and all("127.0.0.1" in line for line in said)
