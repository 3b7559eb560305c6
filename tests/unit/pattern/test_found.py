"""What was found stays mended: each file in `found/` is an input that broke something once, or is as hard as one.

Its name says what it shows. Each of its lines is taken as a pattern and as an event.
"""

from pathlib import Path

import pytest
from tests.unit.pattern.agreeing import hold

FOUND = sorted((Path(__file__).parent / "found").iterdir())


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case.name)
def test_what_was_found_stays_mended(case: Path):
    hold(case.read_bytes())
