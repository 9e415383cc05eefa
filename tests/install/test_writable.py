"""Folders that a worker may write in: install gives them to the worker, and the router serves them
where configured."""

from __future__ import annotations

import json

import pytest

from .conftest import ROOT, Site
from .test_rebuilds import built

WRITES = """
import http.server, os
FOLDER = os.getcwd()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, text = 200, "ok"
        if self.path.startswith("/write/"):
            path = os.path.join(FOLDER, self.path.removeprefix("/write/"))
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    file.write("from the worker")
            except OSError as error:
                status, text = 403, error.strerror
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
FOLDER = f"{ROOT}/workers/alpha"
AS_WORKER = ["setpriv", "--reuid=worker-alpha", "--regid=worker-alpha", "--clear-groups", "sh", "-ec"]


def owner(site: Site, path: str) -> str:
    return site.machine.run(["stat", "-c", "%U %a", f"{FOLDER}/{path}"]).stdout.strip()


def test_a_worker_writes_where_it_may_and_what_it_uploads_is_served(site: Site) -> None:
    yaml = "writable: [data, public/uploads]\nstatic: {directory: public, prefix: /files}\n"
    site.worker("alpha", yaml, program=WRITES)
    site.machine.write(f"{FOLDER}/data/old", "root's")
    said = site.install()
    assert f"give {FOLDER}/data {FOLDER}/public/uploads" in said
    assert site.get("/alpha/write/data/a/b") == (200, "ok")
    assert site.get("/alpha/write/data/old") == (200, "ok")
    assert site.get("/alpha/write/public/uploads/2026/x.txt") == (200, "ok")
    assert site.get("/alpha/files/uploads/2026/x.txt") == (200, "from the worker")
    for path in ("src/x", "config/worker.yaml", "x", "public/x"):
        assert site.get(f"/alpha/write/{path}")[0] == 403, path
    assert (owner(site, "data"), owner(site, "data/old")) == ("worker-alpha 755", "worker-alpha 644")
    assert owner(site, "public").startswith("root ")
    assert owner(site, "config").startswith("root ")
    assert "nothing to do" in site.install()
    assert "alpha" not in site.run("check", "alpha").replace("worker alpha", "")
    site.machine.run(["rm", "-r", f"{FOLDER}/public/uploads"])
    planned = json.loads(site.machine.tqunits(*site.options, "diff", "--json", check=False).stdout)
    assert (planned["folders"], planned["exit_status"]) == ([f"{FOLDER}/public/uploads"], 2)
    assert "give" in site.install()


@pytest.mark.long
def test_code_that_may_be_written_takes_no_chown_by_hand(site: Site) -> None:
    site.worker("alpha", "sandbox: {relax: [writable-code]}\n", program=WRITES)
    site.machine.run(["ln", "-s", "/etc/shadow", f"{FOLDER}/src/link"])
    site.machine.run(["sh", "-c", f"echo mine > {ROOT}/other && ln {ROOT}/other {FOLDER}/src/twice"])
    site.install()
    assert site.get("/alpha/write/src/cache/x") == (200, "ok")
    assert site.get("/alpha/write/src/main.py") == (200, "ok")
    assert site.get("/alpha/write/config/worker.yaml")[0] == 403
    assert site.machine.run(["stat", "-c", "%U", f"{ROOT}/other", "/etc/shadow"]).stdout.split() == ["root", "root"]
    assert owner(site, "config/worker.yaml").startswith("root ")
    assert "nothing to do" in site.install()
    assert "chmod" not in site.run("check", "alpha")


def test_what_a_worker_writes_is_no_source_of_its_build(site: Site) -> None:
    built(site, more="writable: [public/up]\nstatic: {directory: public, prefix: /files}\n")
    site.machine.write(f"{FOLDER}/version", "1")
    site.install()
    site.machine.run([*AS_WORKER, f"umask 077; echo new > {FOLDER}/public/up/x"])
    assert site.get("/alpha/files/up/x") == (200, "new\n")
    assert "nothing to do" in site.install()
    assert "hint" not in site.run("restart", "alpha")
    assert "build" not in site.run("check", "alpha")


def test_what_is_not_roots_is_not_given(host: Site) -> None:
    host.worker("alpha", "writable: [data]\n", program=WRITES)
    host.machine.run(["install", "-d", "-o", "nobody", f"{FOLDER}/data"])
    said = host.install(status=1)
    assert "neither root nor worker-alpha" in said
    assert "chown root" in said
    host.machine.run(["sh", "-c", f"rm -r {FOLDER}/data && install -d -g 40123 -m 0775 {FOLDER}/data"])
    assert f"in {FOLDER}/data others than root may write" in host.install(status=1)
    host.machine.run(["sh", "-c", f"rm -r {FOLDER}/data && ln -s /etc {FOLDER}/data"])
    assert f"writable: {FOLDER}/data: " in host.install(status=1)
    host.machine.run(["sh", "-c", f"rm {FOLDER}/data && chown -R nobody {FOLDER}"])
    said = host.install(status=1)
    assert "belongs to uid 65534 (nobody), and its owner gives what is below it" in said
    assert "$STATE_DIRECTORY" in said
    assert host.machine.run(["stat", "-c", "%U", "/etc"]).stdout == "root\n"


MADE = "cp /bin/true set; chmod 6755 set; ln set twice; ln -s /etc/shadow link; mkdir -m 770 closed; touch closed/x"
NOT_ROOTS = ["(", "!", "-uid", "0", "-o", "!", "-gid", "0", "-o", "-perm", "/6000", ")"]


def foreign(site: Site) -> set[str]:
    """Everything in the worker's folder that root does not own alone; links do not matter."""
    found = site.machine.run(["find", FOLDER, "!", "-type", "l", *NOT_ROOTS, "-printf", "%P\n"]).stdout
    return set(found.split())


def given(site: Site) -> None:
    site.worker("alpha", "writable: [data]\n", program=WRITES)
    site.install()
    assert site.get("/alpha/write/data/a/b") == (200, "ok")
    site.machine.run([*AS_WORKER, f"cd {FOLDER}/data; {MADE}"])


@pytest.mark.short("all")
@pytest.mark.parametrize("before", ["", "uninstall alpha", "all"])
def test_after_a_purge_nothing_is_left_to_the_number_of_the_account(site: Site, before: str) -> None:
    """Otherwise the next user with this uid would own the files. The account stays until they are
    given back, even if the units are already removed."""
    given(site)
    if before.startswith("uninstall"):
        site.run(*before.split())
    assert foreign(site) == {"data", "data/a", "data/a/b", "data/set", "data/twice", "data/closed", "data/closed/x"}
    said = site.run("uninstall", "--purge", *(("--all", "--yes") if before == "all" else ("alpha",)))
    assert f"give {FOLDER} back to root" in said
    assert foreign(site) == set()
    assert site.machine.read(f"{FOLDER}/data/a/b") == "from the worker"
    assert site.machine.run(["stat", "-c", "%U", "/etc/shadow"]).stdout == "root\n"
    assert "worker-alpha" not in site.users()


def test_while_something_can_not_be_given_back_the_account_stays(site: Site) -> None:
    site.worker("beta", "writable: [data]\n", program=WRITES)
    given(site)
    deep = "/".join(["d"] * 110)
    site.machine.run([*AS_WORKER, f"mkdir -p {FOLDER}/data/{deep}"])
    said = site.run("uninstall", "--purge", "alpha", "beta", status=1)
    assert "worker-beta" not in site.users()  # folders of one worker do not hold up another
    assert f"{FOLDER} can not be given back to root: it has folders more than 100 deep" in said
    assert f"chown -hR root: {FOLDER}" in said
    assert "worker-alpha" in site.users()
    site.machine.run(["chown", "-hR", "root:", FOLDER])
    site.run("uninstall", "--purge", "alpha")
    assert "worker-alpha" not in site.users()
