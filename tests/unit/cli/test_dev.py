"""What `busway dev` says of a fault while it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from busway.cli import dev_feed
from busway.cli.dev import _hint  # pyright: ignore[reportPrivateUsage]
from busway.errors import ServerRefused
from busway.road.connection import Connection


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


def test_a_route_that_is_not_set_is_told_of_once(monkeypatch: pytest.MonkeyPatch):
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(dev_feed, "show_step", shown.append)
    feed = dev_feed.Feed(Connection("http://127.0.0.1:1"), as_json=False)
    target = {"event_id": "arn:aws:cloudwatch:r:1:alarm:a/1", "target": "arn:aws:sns:us-east-1:1:busway-alert-pd"}
    told = {"kind": "alert", "route": "busway-alert-pd", "alarm": "a", "state": "ALARM"}
    failed = [
        {"kind": "attempt", **target},
        {**told, "delivered": False, "error_code": "NO_RESOURCE", "error_message": "busway alert set pd"},
        {"kind": "retried", **target},
    ]
    for step in [*failed, *failed, *failed, {"kind": "attempt", **target}, {**told, "delivered": True}]:
        feed.show(step)
    assert shown == [failed[0], failed[1], {**told, "delivered": True}]
