"""`python -m tqunits`: the same as the command."""

import sys

from tqunits.cli.main import main

sys.exit(main())
