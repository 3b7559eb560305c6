"""Code and an alias change while invocations are under way: none fails, none runs other code than it should."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .whole_server import PATIENCE_S, ROLE, WholeServer, arn, whole_server, zipped

SOURCE = """
    import time
    def handler(event, context):
        time.sleep(0.005)
        return [{generation}, context.function_version, event["n"]]
"""
UPDATES = 10
INVOCATIONS = 200
CALLERS = 4


class Deployment:
    """The function's code by generation: version n+1 holds generation n. Changes are noted before and after."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions
        functions.create_function(
            FunctionName="f", Runtime="python3.12", Role=ROLE, Handler="app.handler", Publish=True, Timeout=30,
            Code={"ZipFile": zipped(SOURCE.format(generation=0))},
        )  # fmt: skip
        functions.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
        self._invoked = threading.Condition()
        self._count = 0
        # What may run at all (begun), and what must (done), of the function itself and of the alias.
        self.begun = {"": 0, "live": 0}
        self.done = {"": 0, "live": 0}

    def count(self) -> None:
        """One more invocation was made."""
        with self._invoked:
            self._count += 1
            self._invoked.notify_all()

    def wait(self, invocations: int) -> None:
        """Return when so many were made."""
        with self._invoked:
            assert self._invoked.wait_for(lambda: self._count >= invocations, PATIENCE_S)

    def deploy(self, generation: int) -> None:
        self.begun[""] = generation
        code = zipped(SOURCE.format(generation=generation))
        version = self._functions.update_function_code(FunctionName="f", ZipFile=code, Publish=True)["Version"]
        self.done[""] = generation
        assert version == str(generation + 1)
        self.begun["live"] = generation
        self._functions.update_alias(FunctionName="f", Name="live", FunctionVersion=version)
        self.done["live"] = generation


def invoke(server: WholeServer, deployment: Deployment, qualifier: str, numbers: range) -> list[str]:
    """Invoke now, one after the other; what was wrong."""
    functions, faults = server.client("lambda"), list[str]()
    more = {"Qualifier": qualifier} if qualifier else {}
    for number in numbers:
        low = deployment.done[qualifier]
        told = functions.invoke(FunctionName="f", Payload=json.dumps({"n": number}).encode(), **more)
        deployment.count()
        high, payload = deployment.begun[qualifier], told["Payload"].read().decode()
        if "FunctionError" in told:
            faults.append(payload)
            continue
        generation, version, echoed = json.loads(payload)
        runs = "$LATEST" if not qualifier else str(generation + 1)
        if not low <= generation <= high or version != runs or told["ExecutedVersion"] != runs or echoed != number:
            faults.append(f"{qualifier or 'itself'} between {low} and {high}: {payload}")
    return faults


def put(server: WholeServer, deployment: Deployment, qualifier: str, numbers: range) -> list[str]:
    functions = server.client("lambda")
    more = {"Qualifier": qualifier} if qualifier else {}
    for number in numbers:
        event = json.dumps({"n": number}).encode()
        functions.invoke(FunctionName="f", InvocationType="Event", Payload=event, **more)
        deployment.count()
    return []


def records(server: WholeServer, url: str, wanted: int) -> list[dict[str, Any]]:
    queues, found = server.client("sqs"), list[dict[str, Any]]()
    while len(found) < wanted:
        messages = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20).get("Messages")
        assert messages, f"{len(found)} of {wanted} records arrived"
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        queues.delete_message_batch(QueueUrl=url, Entries=entries)
        found += [json.loads(message["Body"]) for message in messages]
    return found


def test_no_invocation_fails_or_runs_other_code_while_code_and_alias_change(tmp_path: Path):
    with whole_server(tmp_path) as server:
        functions = server.client("lambda")
        deployment = Deployment(functions)
        url = server.client("sqs").create_queue(QueueName="told")["QueueUrl"]
        told = {"Destination": arn("sqs", "told")}
        for qualifier in ("$LATEST", "live"):
            functions.put_function_event_invoke_config(
                FunctionName="f", Qualifier=qualifier, MaximumRetryAttempts=0,
                DestinationConfig={"OnSuccess": told, "OnFailure": told},
            )  # fmt: skip
        each = INVOCATIONS // CALLERS
        work: list[Callable[[], list[str]]] = []
        for number in range(CALLERS):
            numbers, qualifier = range(number * each, (number + 1) * each), "live" if number % 2 else ""
            work.append(lambda n=numbers, q=qualifier: invoke(server, deployment, q, n))
            work.append(lambda n=numbers, q=qualifier: put(server, deployment, q, n))
        with ThreadPoolExecutor(len(work)) as pool:
            running = [pool.submit(one) for one in work]
            for generation in range(1, UPDATES + 1):
                deployment.wait(generation * 2 * INVOCATIONS // (UPDATES + 1))
                deployment.deploy(generation)
            faults = [fault for one in running for fault in one.result(PATIENCE_S)]
        assert not faults
        found = records(server, url, INVOCATIONS)
    assert sorted(record["requestPayload"]["n"] for record in found) == list(range(INVOCATIONS))
    for record in found:
        assert record["requestContext"]["condition"] == "Success", record
        generation, version, _ = record["responsePayload"]
        named = record["requestContext"]["functionArn"].rpartition(":")[2]
        assert version == ("$LATEST" if named == "$LATEST" else str(generation + 1))
        assert record["responseContext"]["executedVersion"] == version
