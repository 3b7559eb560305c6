"""The package `busway-matcher` as it is installed: what an index shows of it, and that its README holds."""

import doctest
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("matcher")

ROOT = Path(__file__).parents[3]
README = (ROOT / "matcher/README.md").read_text()


def test_the_examples_of_the_readme_give_what_they_say():
    text = re.sub(r"^```.*", "", README, flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(text, {}, "README.md", None, None)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_an_index_is_shown_the_readme_and_the_licence():
    package = distribution("busway-matcher")
    shown = package.metadata
    assert shown["Description-Content-Type"].startswith("text/markdown")
    assert str(shown.get_payload()).lstrip().startswith(README.splitlines()[0])
    assert not re.search(r"\]\((?!https://)", README), "a relative link leads nowhere on an index"
    assert (shown["License-Expression"], shown["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert "Typing :: Typed" in shown.get_all("Classifier", [])
    names = {file.name: file for file in package.files or ()}
    assert "py.typed" in names
    assert Path(str(names["LICENSE"].locate())).read_text() == (ROOT / "LICENSE").read_text()
