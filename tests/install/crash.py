"""Kills `tqunits install` in the middle; shared by the tests of crashes.

strace(1) kills the real command at the entry of the N-th call of a kind.
"""

from __future__ import annotations

from .folder import ROOT, WorkersFolder

# The calls that change the host: a file is made, flushed, renamed, removed; and every message to
# systemd.
CALLS = {
    "rename": "rename,renameat,renameat2",
    "fsync": "fsync",
    "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat",
    "dbus": "sendmsg",
    "fork": "clone,clone3,vfork,fork",
}
KILLED = 137
MOST = 200  # a run that has more steps of one kind does not end


def configure(site: WorkersFolder, variant: str) -> None:
    """Two configurations that differ in every file that depends on the configuration, and in the
    set of workers."""
    listen = {"one": "0.0.0.0:8080", "two": "127.0.0.1:8080"}[variant]
    site.server(f"listen: ['{listen}']\nproxy: {{processes: {1 if variant == 'one' else 2}}}\n")
    more = "" if variant == "one" else ", more: token"
    site.worker("alpha", f"environment: {{VARIANT: {variant}}}\ncredentials: {{token: token{more}}}\n")
    secret(site, variant)
    gone, here = ("beta", "gamma") if variant == "one" else ("gamma", "beta")
    site.remove_worker(gone)
    site.worker(here)


def secret(site: WorkersFolder, variant: str) -> None:
    """A file that is copied, because somebody else may write it. The file of each variant has its
    own time."""
    path = f"{ROOT}/workers/alpha/token"
    site.machine.write(path, variant * (1 if variant == "one" else 2))
    site.machine.run(["touch", "-d", "2020-01-01" if variant == "one" else "2020-01-02", path])
    site.machine.run(["chown", "40123:40123", path])


def killed_at(site: WorkersFolder, calls: str, number: int, *arguments: str) -> bool:
    """Run install, and kill it at call `number`; False if it ended before that call."""
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    inject += ["-e", f"inject={calls}:signal=SIGKILL:when={number}"]
    install = ["/usr/local/bin/tqunits", "-C", ROOT, "install", "--quiet", *arguments]
    done = site.machine.run([*inject, *install], check=False)
    assert done.returncode in {0, KILLED, -9}, done.stderr
    return done.returncode != 0


def assert_each_file_is_whole(now: dict[str, str], old: dict[str, str], new: dict[str, str]) -> None:
    """Every file has its content of before or of after; no file is half written, and none is new
    but a temporary file."""
    for path, digest in now.items():
        if not path.rpartition("/")[2].startswith(".tqunits-") and not path.endswith("/install.lock"):
            assert digest in {old.get(path), new.get(path)}, path
    for path in old.keys() & new.keys():
        assert path in now, f"{path} was there before and should be after, and is gone"
