"""`python -m fidojax.cli`, where the command `fidojax` is not installed."""

import sys

from fidojax.cli import main

sys.exit(main())
