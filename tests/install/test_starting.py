"""The files that `tqunits init` writes can be installed unchanged."""

from __future__ import annotations

from .conftest import Site


def test_a_page_is_served_at_once(site: Site) -> None:
    site.run("init", "alpha", "--type", "static")
    site.install()
    status, page = site.get("/alpha/")
    assert status == 200
    assert "<h1>hello from alpha</h1>" in page
