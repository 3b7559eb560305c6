"""What atheris runs: the reference, and the compiled matcher beside it where it is installed. See `run.py`."""

import sys

import atheris

with atheris.instrument_imports(include=["busway.pattern"]):
    from tests.unit.pattern.agreeing import hold

atheris.Setup(sys.argv, hold)
atheris.Fuzz()
