"""The commands, and restarts under load, on a booted systemd:
`python -m bench.host NAME [ARGUMENT]...`, as root."""

from bench.entry import run

run(__file__, __doc__)
