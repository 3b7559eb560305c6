"""Powertools for AWS Lambda, unchanged, in handlers of our own writing: Python's with uv, TypeScript's with npm."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from busway.function.definitions.code_store import Folder, Zip
from busway.function.definitions.registry import Configuration
from busway.function.record import ACTIVE, PENDING

from .function_workshop import Workshop, workshop
from .packages import ROOT, npm_installed, packed, put_esbuild, unavailable

TYPESCRIPT = ROOT / "tests" / "node" / "powertools"
REQUIREMENTS = "aws-lambda-powertools[tracer]==3.37.0\n"
# Generous: packages come from a registry the first time.
BUILD_S = 300
NO_REGISTRY = ("error sending request", "failed to fetch", "dns error", "connect", "network", "timed out")

SQS = {
    "Records": [
        {"messageId": name, "body": json.dumps({"amount": amount}), "eventSource": "aws:sqs", "attributes": {},
         "messageAttributes": {}, "receiptHandle": "r", "md5OfBody": "", "awsRegion": "eu-central-1",
         "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:orders"}
        for name, amount in (("good", 1), ("bad", -1), ("fine", 2))
    ]
}  # fmt: skip


async def built(shop: Workshop, name: str, code: Zip | Folder, **configuration: Any) -> None:
    wanted = Configuration(timeout_s=30, memory_mb=512, **configuration)
    await shop.functions.registry.create(shop.arn(name), code, wanted)
    async with asyncio.timeout(BUILD_S):
        while (record := shop.functions.registry.need(shop.arn(name))).state == PENDING:
            await asyncio.sleep(0.02)
    if any(word in record.failure.lower() for word in NO_REGISTRY):
        unavailable(f"the packages could not be had:\n{record.failure}")
    assert record.state == ACTIVE, record.failure


async def check_batch(shop: Workshop) -> None:
    """Only the message that failed is reported; a batch of which all fail is an error."""
    assert await shop.ask("f", SQS) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    bad = {"Records": SQS["Records"][1:2]}
    assert (await shop.fail("f", bad))["errorType"] in ("BatchProcessingError", "FullBatchFailureError")


async def check_idempotency(shop: Workshop) -> None:
    """The second time is answered from the first; what failed is tried again."""
    assert [await shop.ask("f", {"order": "a"}) for _ in range(2)] == [{"order": "a", "charges": 1}] * 2
    assert await shop.ask("f", {"order": "b"}) == {"order": "b", "charges": 2}
    for charge in (3, 4):
        assert (await shop.fail("f", {"order": "c", "refuse": True}))["errorMessage"] == f"refused, charge {charge}"


def json_lines(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith("{")]


# --- TypeScript ---


@asynccontextmanager
async def typescript(tmp_path: Path, name: str) -> AsyncIterator[Workshop]:
    """The handler as a function of a folder in development, with its packages beside it."""
    installed = npm_installed("powertools", TYPESCRIPT)
    put_esbuild(tmp_path / "data")
    code = tmp_path / "project"
    code.mkdir()
    shutil.copyfile(TYPESCRIPT / f"{name}.ts", code / f"{name}.ts")
    (code / "node_modules").symlink_to(installed / "node_modules")
    async with workshop(tmp_path / "data") as shop:
        await built(shop, "f", Folder(str(code)), runtime="nodejs22.x", handler=f"{name}.handler")
        yield shop


@pytest.mark.needs("node")
async def test_typescript_batch_processing_reports_the_messages_that_failed(tmp_path: Path):
    async with typescript(tmp_path, "batch") as shop:
        await check_batch(shop)


@pytest.mark.needs("node")
async def test_typescript_idempotency_answers_the_second_time_from_the_first(tmp_path: Path):
    async with typescript(tmp_path, "idempotency") as shop:
        await check_idempotency(shop)


@pytest.mark.needs("node")
async def test_typescript_logger_writes_lines_that_know_the_invocation(tmp_path: Path):
    async with typescript(tmp_path, "logger") as shop:
        result = await shop.invoke("f", {"order": "o-1"}, request_id="r-1")
        assert json.loads(result.payload) == "done"
        info, error = json_lines(await shop.lines("f"))
    assert (info["level"], info["message"], info["order"], info["amount"]) == ("INFO", "taken", "o-1", 5)
    assert (info["service"], info["function_request_id"], info["function_name"]) == ("shop", "r-1", "f")
    assert (error["level"], error["error"]["name"], error["error"]["message"]) == ("ERROR", "RangeError", "too many")
    assert "logger.ts:" in error["error"]["stack"]


# --- Python ---

BATCH = """
    import json
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    processor = BatchProcessor(event_type=EventType.SQS)

    def take(record: SQSRecord):
        amount = json.loads(record.body)["amount"]
        if amount < 0:
            raise ValueError(f"amount is {amount}")
        return amount

    def handler(event, context):
        return process_partial_response(event, take, processor, context)
"""
IDEMPOTENCY = """
    from aws_lambda_powertools.utilities.idempotency import BasePersistenceLayer, IdempotencyConfig, idempotent
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyItemAlreadyExistsError, IdempotencyItemNotFoundError,
    )

    class Memory(BasePersistenceLayer):
        def __init__(self):
            self.records = {}
            super().__init__()

        def _get_record(self, idempotency_key):
            if idempotency_key not in self.records:
                raise IdempotencyItemNotFoundError
            return self.records[idempotency_key]

        def _put_record(self, data_record):
            if data_record.idempotency_key in self.records:
                known = self.records[data_record.idempotency_key]
                raise IdempotencyItemAlreadyExistsError(old_data_record=known)
            self.records[data_record.idempotency_key] = data_record

        def _update_record(self, data_record):
            self.records[data_record.idempotency_key] = data_record

        def _delete_record(self, data_record):
            del self.records[data_record.idempotency_key]

    charges = 0

    @idempotent(persistence_store=Memory(), config=IdempotencyConfig(event_key_jmespath="order"))
    def handler(event, context):
        global charges
        charges += 1
        if event.get("refuse"):
            raise RuntimeError(f"refused, charge {charges}")
        return {"order": event["order"], "charges": charges}
"""
OBSERVED = """
    from aws_lambda_powertools import Logger, Metrics, Tracer
    from aws_lambda_powertools.metrics import MetricUnit

    logger, tracer = Logger(service="shop"), Tracer(service="shop")
    metrics = Metrics(namespace="Shop", service="shop")

    @tracer.capture_method
    def price(order):
        return 5

    @metrics.log_metrics(capture_cold_start_metric=True)
    @logger.inject_lambda_context(log_event=True)
    @tracer.capture_lambda_handler
    def handler(event, context):
        logger.append_keys(order=event["order"])
        logger.info("taken")
        metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=1)
        try:
            raise ValueError("too many")
        except ValueError:
            logger.exception("refused")
        return price(event["order"])
"""


@asynccontextmanager
async def python(tmp_path: Path, source: str, **configuration: Any) -> AsyncIterator[Workshop]:
    async with workshop(tmp_path) as shop:
        code = Zip(packed({"app.py": source, "requirements.txt": REQUIREMENTS}))
        await built(shop, "f", code, runtime="python3.13", handler="app.handler", **configuration)
        yield shop


async def test_python_batch_processing_reports_the_messages_that_failed(tmp_path: Path):
    async with python(tmp_path, BATCH) as shop:
        await check_batch(shop)


async def test_python_idempotency_answers_the_second_time_from_the_first(tmp_path: Path):
    async with python(tmp_path, IDEMPOTENCY) as shop:
        await check_idempotency(shop)


async def test_python_logger_tracer_and_metrics_write_what_they_write_on_aws(tmp_path: Path):
    async with python(tmp_path, OBSERVED, environment={"POWERTOOLS_TRACE_DISABLED": "true"}) as shop:
        result = await shop.invoke("f", {"order": "o-1"}, request_id="r-1")
        assert (result.function_error, json.loads(result.payload)) == (None, 5)
        lines = json_lines(await shop.lines("f"))
    cold = [line for line in lines if "ColdStart" in line]
    counted = [line for line in lines if "Orders" in line]
    told = [line for line in lines if "level" in line]
    assert len(cold) == len(counted) == 1
    assert counted[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Shop"
    assert [line["message"] for line in told] == [{"order": "o-1"}, "taken", "refused"]
    assert {line["function_request_id"] for line in told} == {"r-1"}
    assert {line["function_name"] for line in told} == {"f"}
    assert (told[1]["order"], told[2]["exception_name"]) == ("o-1", "ValueError")
