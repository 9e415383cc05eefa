"""Rebuilds: when a worker is built again, which files are replaced, where a build runs, and which
environment it gets."""

from __future__ import annotations

import json

import pytest
from machine import Machine

from .conftest import ROOT, Site
from .test_builds import ALPHA, COPY, UNIT

SERVICE = "tq-worker@alpha.service"
MAKE = r"""#!/bin/sh
set -e
mkdir bin lib
cp version lib/version
printf '#!/bin/sh\nexec python3 src/main.py\n' > bin/run
chmod 755 bin/run
"""


def built(site: Site, make: str = MAKE, *, build: str = "[./make]", command: str = "[bin/run]", more: str = "") -> None:
    """A worker `alpha` that a script builds."""
    site.worker("alpha")
    site.machine.write(f"{ALPHA}/make", make, 0o755)
    site.machine.write(f"{ALPHA}/version", "one\n")
    site.yaml("alpha", f"path: /alpha\ntype: exec\nhealth: {{timeout: 1s}}\nbuild: {build}\ncommand: {command}\n{more}")


def started(machine: Machine) -> str:
    return machine.show(SERVICE, "InvocationID")


def version(site: Site) -> str:
    return site.machine.read(f"{ALPHA}/lib/version")


def test_changed_sources_are_built_and_the_worker_gets_the_program(site: Site) -> None:
    built(site)
    site.install()
    first = started(site.machine)
    site.machine.run(["touch", f"{ALPHA}/version", f"{ALPHA}/make"])  # only the content counts
    assert "nothing to do" in site.install()
    assert started(site.machine) == first
    site.machine.write(f"{ALPHA}/version", "two\n")
    said = site.install()
    assert "build alpha: ./make (version has changed)" in said
    assert (version(site), site.get("/alpha/health")) == ("two\n", (200, "ok"))
    assert started(site.machine) != first
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_who_only_starts_is_told_that_the_program_is_older(site: Site) -> None:
    built(site)
    site.install()
    site.machine.write(f"{ALPHA}/version", "two\n")
    site.machine.write(f"{ALPHA}/src/more.py", "")
    older = "alpha: its program is older than its sources: src/more.py is new, version has changed"
    assert older in site.run("restart", "alpha")
    assert older in site.run("start", "alpha")
    assert older in site.run("enable", "--now", "alpha")
    assert f"warning  {older}" in site.run("doctor")
    restarted = json.loads(site.machine.tqunits(*site.options, "restart", "alpha", "--json").stdout)
    assert [f"{one['worker']}: {one['message']}" for one in restarted["outdated"]] == [older]
    planned = json.loads(site.machine.tqunits(*site.options, "diff", "--json", check=False).stdout)
    assert [(one["worker"], one["command"]) for one in planned["builds"]] == [("alpha", ["./make"])]
    assert "would build alpha: ./make (src/more.py is new, version has changed)" in site.run("diff", status=2)
    assert "would build alpha" in site.run("install", "--dry-run", status=2)
    assert "is older than its sources: src/more.py is new, version has changed" in site.run("check")
    assert "src/more.py is new, version has changed" in site.run("show", "alpha")
    shown = json.loads(site.run("show", "--json", "alpha"))
    assert f"alpha: {shown['outdated']}" == older
    assert version(site) == "one\n"
    said = site.run("install")
    assert f"{SERVICE} still runs as it was" in said
    assert version(site) == "two\n"
    before = started(site.machine)
    assert "older" not in site.install()
    assert started(site.machine) != before
    site.run("stop", "alpha")
    site.machine.write(f"{ALPHA}/version", "three\n")
    said = site.run("install")
    assert "build alpha" in said
    assert "nothing to do" not in said


def test_a_build_that_fails_replaces_nothing(site: Site) -> None:
    built(site)
    site.install()
    first = started(site.machine)
    site.machine.write(
        f"{ALPHA}/make", "#!/bin/sh\nmkdir bin; echo broken > bin/run; echo no such compiler; exit 3\n", 0o755
    )
    site.worker("beta")
    said = site.install(status=1)
    assert "skipped alpha: its build exited with status 3; it stays as it is installed" in said
    assert (site.get("/alpha/health"), site.get("/beta/health")) == ((200, "ok"), (200, "ok"))
    assert "alpha: skipped by the last install: its build exited with status 3" in site.run("doctor", status=1)
    assert "no such compiler" in site.run("logs", "alpha", "-o", "cat")
    again = json.loads(site.machine.tqunits(*site.options, "install", "--json", check=False).stdout)
    assert (again["built"], again["exit_status"]) == ([{"worker": "alpha", "done": False}], 1)
    assert [one["worker"] for one in again["skipped"]] == ["alpha"]
    site.machine.write(f"{ALPHA}/make", "#!/bin/sh\nmkdir lib\n", 0o755)
    assert "its build did not make bin/run" in site.install(status=1)
    assert (version(site), started(site.machine)) == ("one\n", first)
    site.run("restart", "alpha")
    assert site.get("/alpha/health") == (200, "ok")


def test_what_a_build_made_is_replaced_and_nothing_else(site: Site) -> None:
    built(site, f"{MAKE}echo data > lib/old\necho changed > version\n")
    site.install()
    site.machine.write(f"{ALPHA}/lib/mine", "mine")
    site.machine.run(["rm", f"{ALPHA}/lib/version"])
    assert "(lib/version is gone)" in site.install()
    assert version(site) == "one\n"
    site.machine.write(f"{ALPHA}/bin/run", "by hand")
    site.machine.write(f"{ALPHA}/make", MAKE, 0o755)
    assert "(bin/run is not what was built, make has changed)" in site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert site.machine.run(["ls", f"{ALPHA}/lib"]).stdout.split() == ["mine", "version"]
    assert site.machine.read(f"{ALPHA}/version") == "one\n"


@pytest.mark.long
def test_a_build_beside_a_program_of_the_hosts_is_run(site: Site) -> None:
    built(site, "#!/bin/sh\necho made > made\n", command="[python3, src/main.py]")
    said = site.install()
    assert "build alpha: ./make (it was never built)" in said
    assert site.machine.read(f"{ALPHA}/made") == "made\n"
    assert "nothing to do" in site.install()


def test_a_build_sees_the_environment_of_its_worker_and_no_secret(site: Site) -> None:
    make = f"{MAKE}env > lib/seen\n"
    more = "environment: {COLOUR: red, SHAPE: round}\nenvironment_file: .env\n"
    built(site, make, build="{command: [./make], environment: {SHAPE: square}}", more=more)
    site.machine.write(f"{ALPHA}/.env", "TOKEN=secret\n", 0o600)
    site.install()
    seen = set(site.machine.read(f"{ALPHA}/lib/seen").splitlines())
    assert {"COLOUR=red", "SHAPE=square"} <= seen
    assert not any(line.startswith("TOKEN") for line in seen)
    assert "nothing to do" in site.install()


ENVIRONMENT = """#!/bin/sh
set -e
python3 -m venv --without-pip venv
printf '#!%s/venv/bin/python\\nimport runpy; runpy.run_path("src/main.py", run_name="__main__")\\n' "$PWD" \
 > venv/bin/serve
chmod 755 venv/bin/serve
mkdir -p modules/.bin
ln -s ../tool modules/.bin/tool
ln -s /etc/shadow modules/absolute
echo tool > modules/tool
"""


def test_a_virtual_environment_is_built_where_it_will_run(site: Site) -> None:
    built(site, ENVIRONMENT, command="[venv/bin/serve]")
    site.machine.write(f"{ALPHA}/keys/token", "secret")
    site.machine.run(["chmod", "700", f"{ALPHA}/keys"])
    site.machine.run(["mkfifo", f"{ALPHA}/pipe"])
    site.machine.run(["ln", "-s", "src", f"{ALPHA}/link"])
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    links = {
        name: site.machine.run(["readlink", f"{ALPHA}/modules/{name}"]).stdout for name in (".bin/tool", "absolute")
    }
    assert links == {".bin/tool": "../tool\n", "absolute": "/etc/shadow\n"}
    assert COPY not in site.machine.run(["grep", "-rh", "^#!", f"{ALPHA}/venv/bin"]).stdout
    assert site.machine.read(f"{ALPHA}/keys/token") == "secret"
    assert "keys is left out: Permission denied" in site.machine.journal(UNIT)
    assert "nothing to do" in site.install()


def test_a_link_that_a_build_made_leads_root_nowhere(site: Site) -> None:
    """A credential below this path could be any file that the build chose, because root does not
    own the path."""
    built(site, f"{MAKE}ln -s /etc keys\n")
    site.install()
    site.yaml(
        "alpha", "path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\ncredentials: {token: keys/shadow}\n"
    )
    said = site.install(status=1)
    assert "keys/shadow is behind a symbolic link" in said
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
@pytest.mark.parametrize("name", ["it's", "a site: 100%"])
def test_a_folder_of_any_name_is_rebuilt(site: Site, name: str) -> None:
    above = f"/srv/{name}"
    site.server(f"mode: production\nworkers: {{directory: {json.dumps(above)}}}\n")
    built(site)
    site.machine.run(["mkdir", "-p", above])
    site.machine.run(["mv", ALPHA, f"{above}/alpha"])
    try:
        site.install()
        site.machine.write(f"{above}/alpha/version", "two\n")
        site.install()
        assert site.machine.read(f"{above}/alpha/lib/version") == "two\n"
    finally:
        site.machine.remove(above)


def test_the_folder_of_a_worker_that_is_not_roots(host: Site, alice: str) -> None:
    """Only root can change the name, so it is built in this place; the content belongs to Alice."""
    built(host, f'{MAKE}pwd > lib/place\nln -s "$PWD" lib/here\n')
    host.machine.run(["chown", "-R", f"{alice}:", ALPHA])
    host.install()
    assert host.machine.read(f"{ALPHA}/lib/place") == f"{ALPHA}\n"
    host.machine.run(["rm", "-r", f"{ALPHA}/lib"], user=alice, check=False)
    host.machine.write(f"{ALPHA}/version", "two\n")
    host.install()
    assert host.machine.read(f"{ROOT}/workers/alpha/lib/version") == "two\n"
    host.run("uninstall", "--purge", "alpha")
    assert not host.machine.exists("/var/lib/tqunits/built/alpha")


SERVER = """\
const http = require("node:http");
const word = require("word");
http.createServer((request, response) => response.end(JSON.stringify(word))).listen(process.env.WORKER_PORT);
process.on("SIGTERM", () => process.exit(0));
"""


@pytest.mark.long
def test_a_node_worker_with_a_lock_file_gets_its_packages(site: Site) -> None:
    """A package in the folder itself, because there is no other host here."""
    if not site.machine.exists("/usr/bin/npm"):
        pytest.skip("this tree has no npm")
    lock = {
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"word": "file:lib/word"}},
            "lib/word": {"version": "1.0.0", "bin": {"word": "index.js"}},
            "node_modules/word": {"resolved": "lib/word", "link": True},
        },
    }
    files = {
        "config/worker.yaml": "path: /alpha\ntype: node\nhealth: {timeout: 1s}\n",
        "src/main.js": SERVER,
        "package.json": json.dumps({"dependencies": {"word": "file:lib/word"}}),
        "package-lock.json": json.dumps(lock),
        "lib/word/package.json": json.dumps({"name": "word", "version": "1.0.0", "bin": {"word": "index.js"}}),
        "lib/word/index.js": 'module.exports = "one";\n',
        "node_modules/stale/index.js": "",
    }
    for name, text in files.items():
        site.machine.write(f"{ALPHA}/{name}", text)
    said = site.install()
    assert "build alpha: npm rebuild (it was never built)" in said
    assert site.get("/alpha/") == (200, "one")
    assert site.machine.run(["readlink", f"{ALPHA}/node_modules/word"]).stdout == "../lib/word\n"
    assert site.machine.exists(f"{ALPHA}/node_modules/.bin/word")
    assert not site.machine.exists(f"{ALPHA}/node_modules/stale")
    assert "nothing to do" in site.install()
    site.machine.remove(f"{ALPHA}/package-lock.json")
    site.install()
    assert "build-alpha" not in site.machine.read("/etc/sysusers.d/tqunits-workers.conf")
    assert site.get("/alpha/") == (200, "one")


@pytest.mark.long
def test_a_program_that_was_made_elsewhere_runs_where_it_can_not_be_built(site: Site) -> None:
    site.worker("alpha")
    site.machine.write(f"{ALPHA}/bin/run", "#!/bin/sh\nexec python3 src/main.py\n", 0o755)
    site.machine.write(f"{ALPHA}/version", "newer\n")
    site.yaml("alpha", "path: /alpha\ntype: exec\nbuild: [no-such-compiler]\ncommand: [bin/run]\n")
    as_it_is = "alpha runs bin/run as it is: no-such-compiler is not installed"
    assert as_it_is in site.install()
    assert site.get("/alpha/health") == (200, "ok")
    said = site.install()
    assert as_it_is in said
    assert "nothing to do" in said
