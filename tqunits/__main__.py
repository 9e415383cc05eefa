"""`python -m tqunits`: the same as the command."""

import sys

from tqunits.cli.main import process

sys.exit(process())
