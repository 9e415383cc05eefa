"""What changes the host says in the end: the gravest exit status there is."""

from __future__ import annotations

from .conftest import Site

UNWELL = "timeouts: {start: 1500ms}\nhealth: {timeout: 1s}\nrestart: {policy: no}\n"
SLEEPS = "import time\ntime.sleep(60)\n"
REFUSED = "credentials: {token: /nowhere/token}\n"


def test_of_a_refused_and_an_unhealthy_worker_the_refused_one_makes_the_exit_status(site: Site) -> None:
    site.worker("well")
    site.worker("unwell", UNWELL, program=SLEEPS)
    site.worker("wrong", REFUSED)
    said = site.install(status=1)
    assert "refused wrong" in said
    assert "unwell: " in said, said
