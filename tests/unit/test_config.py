"""Settings: flags over environment over defaults, and what is refused."""

from __future__ import annotations

import pytest

from busway.config import Settings, load_settings


def test_a_flag_wins_over_the_environment_and_that_over_the_default():
    assert load_settings({}, port=None).port == Settings().port
    assert load_settings({"BUSWAY_PORT": "5000"}, port=None).port == 5000
    assert load_settings({"BUSWAY_PORT": "5000"}, port=6000).port == 6000


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("BUSWAY_PORT", "http", "wanted int"),
        ("BUSWAY_PORT", "70000", "wanted 1 to 65535"),
        ("BUSWAY_RETENTION_S", "a day", "wanted float"),
        ("BUSWAY_RESERVE_MB", "4", "wanted 16 or more"),
        ("BUSWAY_SHARD_LIMITS", "on", "wanted off or aws"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_was_found_and_wanted(variable: str, value: str, wanted: str):
    with pytest.raises(ValueError, match=wanted) as caught:
        load_settings({variable: value})
    assert value in str(caught.value)
