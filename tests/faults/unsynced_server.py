"""`busway serve` with a planted fault: SQLite does not sync at a commit. For the control run of `test_sync.py`."""

from __future__ import annotations

import sys

from busway.cli import main
from busway.engine.embedded import schema

schema.PRAGMAS = tuple((name, 0 if name == "synchronous" else wanted) for name, wanted in schema.PRAGMAS)
main(sys.argv[sys.argv.index("busway") + 1 :])
