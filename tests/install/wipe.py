"""Nothing of ours is left on a machine, whatever state a test has left it in, and as cheaply as can
be.

That `tqunits uninstall --all --purge` does the same in an orderly way is what tests hold it to.
After each of hundreds of tests it would be a fifth of the suite's time: an interpreter, stops that
wait for requests, a userdel(8) for each account.
"""

from __future__ import annotations

from machine import Machine

from tqunits.model import MANAGER_USER, account_of, build_account_of
from tqunits.units import name

ACCOUNTS = {"/etc/passwd": 0o644, "/etc/group": 0o644, "/etc/shadow": 0o640, "/etc/gshadow": 0o640}
OURS = (account_of(""), build_account_of(""))

# Who starts others goes first; what is killed has nothing to drain; what is stopped is not started
# again by Restart=.
SCRIPT = f"""
systemctl stop 'tq[-.]*.path'
systemctl kill --signal=KILL 'tq[-.]*.service'
systemctl stop 'tq[-.]*' 'run-tqunits-*' {" ".join(name.ACCESS_JOURNAL_UNITS)}
cd /etc/systemd/system
set -- tq[-.]* run-tqunits-* */tq[-.]* /run/systemd/system/tq[-.]* /run/systemd/system.control/tq[-.]*
rm -rf /var/lib/tqunits /var/lib/private/tqunits /var/cache/tqunits /var/cache/private/tqunits /run/tqunits
rm -rf /var/log/journal/*.{name.ACCESS_LOG} /run/log/journal/*.{name.ACCESS_LOG}
rm -rf /var/log/tqunits /etc/systemd/journald@{name.ACCESS_LOG}.conf /etc/sysusers.d/*tqunits*
for unit; do
    test -e "$unit" -o -L "$unit" || continue
    rm -rf "$@"
    systemctl daemon-reload
    break
done
systemctl reset-failed 'tq[-.]*' 'run-tqunits-*'
rmdir --ignore-fail-on-non-empty *.wants *.requires /etc/sysusers.d
"""


def wipe(machine: Machine) -> None:
    """Processes, units, accounts, data; the configuration and the workers' folders are whoever's
    who wrote them."""
    machine.run(["sh", "-c", SCRIPT], check=False)
    for path, mode in ACCOUNTS.items():
        before = machine.read(path)
        after = "".join(line for line in before.splitlines(keepends=True) if not _is_ours(line.partition(":")[0]))
        if after != before:
            machine.write(path, after, mode)


def _is_ours(account: str) -> bool:
    return account == MANAGER_USER or account.startswith(OURS)
