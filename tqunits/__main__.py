"""`python -m tqunits` does the same as the command `tqunits`."""

import sys

from tqunits.cli.main import process

sys.exit(process())
