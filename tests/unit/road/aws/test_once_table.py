"""`once` on AWS: the table that the template makes, with moto's DynamoDB in its place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.unit.road.aws.manifests import EVERYTHING, codes_of

from busway import Event, handler, idempotent, once
from busway.errors import StillRunning
from busway.idempotent import Table
from busway.road.aws.template import make_template
from busway.road.root import AwsSettings

FUNCTION = "shop-prod-send-receipt"


class Order(Event, source="shop", detail_type="Order"):
    total: int


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch):
    """The table's name, in the environment of a function on AWS."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(name, value)
    template = make_template(EVERYTHING, "prod", AwsSettings(), codes_of(EVERYTHING))
    properties = template["Resources"]["OnceTable"]["Properties"]
    with mock_aws():
        client = boto3.client("dynamodb")
        ttl = properties.pop("TimeToLiveSpecification")
        client.create_table(**properties)
        client.update_time_to_live(TableName=properties["TableName"], TimeToLiveSpecification=ttl)
        monkeypatch.setenv("BUSWAY_ONCE_TABLE", properties["TableName"])
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", FUNCTION)
        monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
        monkeypatch.delenv("BUSWAY_WORKER", raising=False)
        monkeypatch.setattr(idempotent, "_chosen", None)
        yield properties["TableName"]


def rows(table: str) -> list[dict[str, Any]]:
    return boto3.client("dynamodb").scan(TableName=table)["Items"]


def test_an_event_that_was_handled_is_not_handled_again(table: str):
    handled: list[int] = []

    @handler(Order)
    def receive(event: Order) -> int:
        handled.append(event.total)
        return event.total

    raw = {"id": "e-1", "source": "shop", "detail-type": "Order", "detail": {"total": 5}}
    assert [receive(raw, object()), receive(raw, object())] == [5, 5]
    assert handled == [5]
    assert receive({**raw, "id": "e-2"}, object()) == 5 and handled == [5, 5]


def test_a_row_is_the_functions_own_and_ends_by_itself(table: str):
    once("e-1", lambda: 1)
    (row,) = rows(table)
    assert row["id"]["S"].startswith(f"{FUNCTION}/")
    assert row["state"] == {"S": "done"} and int(row["until"]["N"]) > 1_700_000_000


def test_a_step_that_failed_runs_again(table: str):
    tried: list[int] = []

    def charge() -> str:
        tried.append(1)
        if len(tried) == 1:
            raise TimeoutError("no answer")
        return "receipt"

    with pytest.raises(TimeoutError):
        once("e-1", charge)
    assert rows(table) == []
    assert once("e-1", charge) == once("e-1", charge) == "receipt"
    assert len(tried) == 2


def test_of_many_that_claim_a_step_at_once_one_gets_it(table: str):
    stores = [Table(table, FUNCTION) for _ in range(8)]

    def claimed(number: int) -> bool:
        try:
            return not stores[number].claim("k", str(number)).completed
        except StillRunning:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claimed, range(8))) == 1
