"""`python -m fidojax`: the command line where the program `fidojax` is not on the path."""

import sys

from fidojax.cli import main

sys.exit(main())
