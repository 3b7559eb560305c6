"""What `busway dev` says of a fault while it goes on."""

from __future__ import annotations

import pytest

from busway.cli.dev import _hint  # pyright: ignore[reportPrivateUsage]
from busway.errors import ServerRefused


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("A folder as code (S3Bucket hot-reload) is for development: unset the access keys", "--zip"),
        ("The role defined for the function cannot be assumed", ""),
    ],
)
def test_a_zip_is_hinted_at_only_where_code_from_a_folder_was_refused(reason: str, hint: str):
    told = _hint(ServerRefused("CreateFunction", "InvalidParameterValueException", reason))
    assert (hint in told) if hint else not told
