"""Removes everything of tqunits from a machine, whatever state a test has left it in, and fast.

Tests check that `tqunits uninstall --all --purge` does the same in an orderly way. After each of
hundreds of tests it would take a fifth of the suite's time: an interpreter, stops that wait for
requests, a userdel(8) for each account.
"""

from __future__ import annotations

from machine import Machine

from tqunits.model import MANAGER_USER, account_of, build_account_of
from tqunits.units import name

ACCOUNTS = {"/etc/passwd": 0o644, "/etc/group": 0o644, "/etc/shadow": 0o640, "/etc/gshadow": 0o640}
OURS = (account_of(""), build_account_of(""))

# Units that start others are stopped first. A killed process has nothing to drain, and Restart=
# does not restart a stopped unit.
SCRIPT = f"""
systemctl stop 'tq[-.]*.path'
systemctl kill --signal=KILL 'tq[-.]*.service'
systemctl stop 'tq[-.]*' 'run-tqunits-*' {" ".join(name.ACCESS_JOURNAL_UNITS)}
cd /etc/systemd/system
set -- tq[-.]* run-tqunits-* */tq[-.]* /run/systemd/system/tq[-.]* /run/systemd/system.control/tq[-.]*
rm -rf /var/lib/tqunits /var/lib/private/tqunits /var/cache/tqunits /var/cache/private/tqunits /run/tqunits
rm -rf /var/log/journal/*.{name.ACCESS_LOG} /run/log/journal/*.{name.ACCESS_LOG}
rm -f /etc/polkit-1/rules.d/*tqunits*
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
    """Removes processes, units, accounts and data. The configuration and the workers' folders
    belong to whoever wrote them."""
    machine.run(["sh", "-c", SCRIPT], check=False)
    for path, mode in ACCOUNTS.items():
        before = machine.read(path)
        after = "".join(line for line in before.splitlines(keepends=True) if not _is_ours(line.partition(":")[0]))
        if after != before:
            machine.write(path, after, mode)


def _is_ours(account: str) -> bool:
    return account == MANAGER_USER or account.startswith(OURS)
