"""The manager in tests that are not about it: its unit runs, and does nothing.

Hundreds of tests install workers on a machine, and each install starts the manager's unit: an
interpreter and its libraries are a third of a second of CPU.
"""

AT_REST = (
    "/usr/local/lib/systemd/system/tq-manager.service.d/90-at-rest.conf",
    "[Service]\nType=exec\nExecStart=\nExecStart=/bin/sleep infinity\nWatchdogSec=0\n",
)
"""A drop-in, and what it says. tests/install/test_manager.py takes it away."""
