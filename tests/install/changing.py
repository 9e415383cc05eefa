"""The ways in which files are changed on a real host, as shell lines in the folder of the worker
alpha, whose program src/main.py ends with the line "# version 1", and a mark that tells when a
change was noticed."""

from __future__ import annotations

import json
from typing import Any

from .conftest import ROOT, Site
from .test_backoff import wait

FOLDER = f"{ROOT}/workers/alpha"
MAIN = f"{FOLDER}/src/main.py"

SAVES = {
    "in place": "python3 -c \"p='src/main.py'; t=open(p).read();"
    " open(p,'w').write(t.replace('version 1','version 2'))\"",
    "sed -i": "sed -i 's/version 1/version 2/' src/main.py",
    "vim": "HOME=/root TERM=dumb vim -Es -u DEFAULTS '+%s/version 1/version 2/' '+wq' src/main.py",
    "vim with a backup": "HOME=/root TERM=dumb vim -Es -u DEFAULTS '+set backup writebackup backupcopy=no'"
    " '+%s/version 1/version 2/' '+wq' src/main.py",
    "emacs": "ln -s me@host.1:1 src/.#main.py; sed 's/version 1/version 2/' src/main.py > src/#main.py#;"
    " mv src/main.py src/main.py~; cp src/#main.py# src/main.py; rm src/#main.py# src/.#main.py",
    "gedit": "sed 's/version 1/version 2/' src/main.py > src/.goutputstream-X1Y2Z3;"
    " mv src/.goutputstream-X1Y2Z3 src/main.py",
    "JetBrains": "sed 's/version 1/version 2/' src/main.py > src/main.py___jb_tmp___;"
    " mv src/main.py src/main.py___jb_old___; mv src/main.py___jb_tmp___ src/main.py; rm src/main.py___jb_old___",
    "a new name, then the old one": "mv src/main.py src/other.py; sed -i 's/version 1/version 2/' src/other.py;"
    " mv src/other.py src/main.py",
    "the folder is made anew": "cp -r src new; sed -i 's/version 1/version 2/' new/main.py;"
    " mv src old; mv new src; rm -r old",
}
"""How editors and people save a file."""

MANY = "i=0; while [ $i -lt 200 ]; do echo $i.$V > src/many/$i.txt; i=$((i+1)); done"
"""200 files of version V."""

_COMMIT = "git -c user.name=a -c user.email=a@b -c commit.gpgsign=false commit -qam"

_SENT = (
    f"mkdir -p src/many; V=2; {MANY}; sed -i 's/version 1/version 2/' src/main.py; cp -r src /srv/site/two;"
    " find /srv/site/two -type f -exec touch -d 2020-01-01 {} +;"  # rsync compares sizes and times
    f" V=1; {MANY}; sed -i 's/version 2/version 1/' src/main.py"
)

TREES = {
    "git checkout": (
        (
            f"mkdir -p src/many; V=1; {MANY}; git init -q . ; git add -A; {_COMMIT} 1; git checkout -qb two;"
            f" V=2; {MANY}; sed -i 's/version 1/version 2/' src/main.py; git add -A; {_COMMIT} 2; git checkout -q -"
        ),
        "git checkout -q two",
    ),
    "tar x": (
        (
            f"mkdir -p src/many; V=2; {MANY}; sed -i 's/version 1/version 2/' src/main.py;"
            f" tar cf /srv/site/two.tar src; V=1; {MANY}; sed -i 's/version 2/version 1/' src/main.py"
        ),
        "tar xf /srv/site/two.tar",
    ),
    "unzip": (
        (
            f"mkdir -p src/many; V=2; {MANY}; sed -i 's/version 1/version 2/' src/main.py;"
            f" python3 -m zipfile -c /srv/site/two.zip src; V=1; {MANY}; sed -i 's/version 2/version 1/' src/main.py"
        ),
        "unzip -qo /srv/site/two.zip",
    ),
    "cp -r": (
        (
            f"mkdir -p src/many; V=2; {MANY}; sed -i 's/version 1/version 2/' src/main.py; cp -r src /srv/site/two;"
            f" V=1; {MANY}; sed -i 's/version 2/version 1/' src/main.py"
        ),
        "cp -r /srv/site/two/. src/",
    ),
    "rsync -a": (_SENT, "rsync -a /srv/site/two/ src/"),
    "rsync in place": (_SENT, "rsync -a --inplace /srv/site/two/ src/"),
    "rsync at the end": (_SENT, "rsync -a --delay-updates --delete-after /srv/site/two/ src/"),
}
"""How many files change at once: what is done before the worker is installed, and the change."""

NOTHING = {
    "touch": "touch src/main.py",
    "the same content": "cp src/main.py /srv/site/main.py; cat /srv/site/main.py > src/main.py",
    "the same content by a rename": "cp src/main.py src/main.new; mv src/main.new src/main.py",
    "a log": "echo 1 >> app.log; mkdir -p logs; echo 1 >> logs/app.log",
    "a data base": "python3 -c \"import sqlite3; c=sqlite3.connect('app.sqlite3'); c.execute('create table a(b)');"
    " c.execute('insert into a values(1)'); c.commit()\"",
    "byte code": "python3 -m compileall -q src",
    "packages": "mkdir -p node_modules/a; echo 1 > node_modules/a/index.js",
    "an editor that is open": "touch src/.main.py.swp; echo 1 > src/.main.py.swp; echo 1 > src/main.py~",
    "what is ignored": "printf 'cache/\\n' > .gitignore; mkdir -p cache; echo 1 > cache/a; rm -r .gitignore cache",
    "back and forth": "echo 1 > src/new.py; rm src/new.py",
}
"""What happens in a folder and is no change of the worker."""


def history(site: Site) -> list[dict[str, Any]]:
    """What was done with alpha, the newest first."""
    return list(json.loads(site.run("history", "alpha", "--json"))["deploys"])


def change(site: Site, line: str) -> None:
    """Do this in the worker's folder."""
    site.machine.run(["sh", "-euc", f"cd {FOLDER}; {line}"])


def mark(site: Site, text: str) -> list[dict[str, Any]]:
    """Make one more change, and wait until it was acted upon: so what was made before was, too.
    The history then. `text`: another one each time."""
    before = _last(history(site))
    change(site, f"echo {text} > mark.txt")

    def is_done() -> bool:
        found = history(site)
        new = [each["message"] for each in found if each["number"] > before]
        return any(each.startswith("mark.txt ") for each in new) and _ended(found)

    wait(site, is_done)
    return history(site)


def until(site: Site, count: int) -> list[dict[str, Any]]:
    """Wait until so many deploys and restarts of alpha have ended. The history then."""
    wait(site, lambda: _last(found := history(site)) >= count and _ended(found))
    return history(site)


def watched(site: Site, worker: str = "alpha") -> dict[str, Any]:
    """How the manager watches a worker's folder."""
    asked = ["curl", "-s", "--unix-socket", "/run/tqunits/manager/control.sock", "http://manager/watches"]
    rows = json.loads(site.machine.run(asked).stdout)["watches"]
    return next((row for row in rows if row["worker"] == worker), {})


def await_watch(site: Site, worker: str = "alpha") -> None:
    """Wait until the worker's folder was looked at."""
    wait(site, lambda: watched(site, worker).get("state") == "watches")


def unsuperseded(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were begun: no newer one has taken their place before."""
    return [each for each in found if each["outcome"] != "superseded"]


def says(site: Site, text: str, since: str) -> None:
    """Wait until the manager has said this after that cursor of the journal."""
    wait(site, lambda: text in site.machine.journal("tq-manager.service", since))


def kill_manager(site: Site) -> None:
    """As a fault or the lack of memory does; systemd starts the next one."""
    site.machine.systemctl("kill", "--signal=KILL", "tq-manager.service")


def _last(found: list[dict[str, Any]]) -> int:
    """How many there were. The history forgets the oldest ones."""
    return int(found[0]["number"]) if found else 0


def _ended(found: list[dict[str, Any]]) -> bool:
    return all(each["outcome"] not in {"waiting", "running"} for each in found)
