"""`tqunits doctor` on a booted systemd with installed workers: it reports everything that is not as
it seems."""

from __future__ import annotations

import json

from .conftest import ROOT, Site

OPEN = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", int(os.environ["WORKER_PORT"])), Handler).serve_forever()
"""


def report(site: Site) -> dict[str, tuple[str, str]]:
    """Check -> level and message; of several findings of one check, the worst."""
    done = site.machine.tqunits(*site.options, "doctor", "--json", check=False)
    order = ["ok", "warning", "problem"]
    found = sorted(json.loads(done.stdout)["findings"], key=lambda finding: order.index(finding["level"]))
    return {finding["check"]: (finding["level"], finding["message"]) for finding in found}


def certificate(site: Site, days: int) -> None:
    new = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days {days} -subj /CN=a"
    new += f" -addext subjectAltName=DNS:a.example -keyout {ROOT}/key.pem -out {ROOT}/cert.pem"
    site.machine.run(["openssl", *new.split()])


def test_what_is_not_as_it_looks_is_told(site: Site) -> None:
    site.worker("alpha", "credentials: {token: token}\n", program=OPEN)
    site.machine.write(f"{ROOT}/workers/alpha/token", "1")
    site.machine.run(["chown", "40123:40123", f"{ROOT}/workers/alpha/token"])
    site.worker("beta", "health: {path: /}\nrestart: {policy: no}\n", program="raise SystemExit(1)")
    site.worker("wrong", "credentials: {token: /nowhere/token}\n")
    site.install(status=1)
    assert report(site)["left-out"][1].startswith("wrong: refused by the last install: credentials: /nowhere/token")
    site.remove_worker("wrong")
    certificate(site, 90)
    site.server(f"tls: {{certificate: {ROOT}/cert.pem, key: {ROOT}/key.pem}}\n")
    site.worker("alpha", "credentials: {token: token}\nenvironment: {A: b}\n", program=OPEN)
    site.machine.write(f"{ROOT}/workers/alpha/token", "2")
    found = report(site)
    assert "left-out" not in found  # a worker that is gone needs no action
    assert found["exposure"][0] == "warning"
    assert "alpha on port 9000" in found["exposure"][1]
    assert found["secrets"][0] == "warning"
    assert found["drift"] == ("warning", "changed since install: alpha")
    assert found["units"] == ("problem", "failed: tq-worker@beta.service")
    assert found["certificate"][0] == "ok"
    certificate(site, 10)
    assert "expires on" in report(site)["certificate"][1]
    site.machine.write(f"{ROOT}/key.pem", "none")
    assert report(site)["certificate"][0] == "problem"


def test_polkit_is_asked_for_and_not_guessed(site: Site) -> None:
    assert report(site)["polkit"][0] == "ok"
    site.machine.systemctl("mask", "--runtime", "polkit.service")
    assert report(site)["polkit"][0] == "warning"
    site.machine.systemctl("unmask", "--runtime", "polkit.service")


def test_a_rule_without_its_units_and_a_manager_that_is_away_are_told(site: Site) -> None:
    site.worker("alpha")
    site.install()
    assert not {"rule", "manager"} & report(site).keys()
    site.machine.systemctl("stop", "tq-manager.service", "tq-manager.socket")
    assert report(site)["manager"][0] == "warning"
    for template in ("tq-worker@.service", "tq-apply.service", "tq-apply@.service"):
        path = f"/etc/systemd/system/{template}"
        site.machine.run(["mv", path, "/root/kept"])
        assert report(site)["rule"][0] == "problem"
        assert report(site)["rule"][1].endswith(f": {template}")
        site.machine.run(["mv", "/root/kept", path])
    assert "rule" not in report(site)
