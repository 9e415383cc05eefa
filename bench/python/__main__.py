"""The router's Python alone, without the kernel or other programs:
`python -m bench.python NAME [ARGUMENT]...`."""

from bench.entry import run

run(__file__, __doc__)
