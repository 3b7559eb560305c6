"""A project that is deployed to AWS, for tests: a second server of ours stands in for AWS, reached as AWS is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project

from .whole_server import ACCOUNT, BIN, PATIENCE_S, REGION, ROLE, SECRET, WholeServer, arn, whole_server, zipped

PLACED = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["order-id:str", "total:int=5"]))
NAME, LETTERS = "shop-prod-one", "shop-prod-one-dead-letters"


@dataclass
class Deployed:
    """A project, and what `busway deploy` makes of it, in an account that is our server's."""

    server: WholeServer
    root: Path

    def run(self, *words: str, **environment: str) -> CompletedProcess[str]:
        """With a profile's keys alone: those of the shell are of nobody."""
        keys = {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "wrong",
            "BUSWAY_ENDPOINT": "http://127.0.0.1:9",
        }
        return self.server.run(BIN / "busway", *words, folder=self.root, **{**keys, **environment})

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.run(*words, "--profile", "ops", "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1] if words[0] == "redrive" else done.stdout)

    def failed(self, *totals: int) -> list[str]:
        """The ids of orders, once each is a dead letter; none other is left."""
        details = [json.dumps({"order-id": "o", "total": total}) for total in totals]
        entries = [{"Source": "shop", "DetailType": "Order Placed", "Detail": detail} for detail in details]
        events, most = self.server.client("events"), 10
        batches = [entries[begin : begin + most] for begin in range(0, len(entries), most)]
        put = [one for batch in batches for one in events.put_events(Entries=batch)["Entries"]]
        self.until(lambda: self.waiting() == len(totals), "the dead letters")
        return [entry["EventId"] for entry in put]

    def waiting(self) -> int:
        """How many letters are visible."""
        sqs, number = self.server.client("sqs"), "ApproximateNumberOfMessages"
        url = sqs.get_queue_url(QueueName=LETTERS)["QueueUrl"]
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[number])["Attributes"][number])

    def emptied(self) -> None:
        """PurgeQueue may be called once a minute."""
        sqs = self.server.client("sqs")
        url = sqs.get_queue_url(QueueName=LETTERS)["QueueUrl"]
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def until(self, found: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not (value := found()):
            assert time.monotonic() < deadline, f"{what} did not come"
            time.sleep(0.05)
        return value


def deploy(server: WholeServer, source: str) -> None:
    """What a stack has for one handler."""
    sqs, functions, events = server.client("sqs"), server.client("lambda"), server.client("events")
    rule = arn("events", f"rule/{NAME}")
    may_send = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn("sqs", LETTERS), "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_send]})
    sqs.create_queue(QueueName=LETTERS, Attributes={"MessageRetentionPeriod": "1209600", "Policy": policy})
    functions.create_function(
        FunctionName=NAME, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(source)},
        DeadLetterConfig={"TargetArn": arn("sqs", LETTERS)},
    )  # fmt: skip
    permit(server)
    functions.put_function_event_invoke_config(FunctionName=NAME, MaximumRetryAttempts=0)
    events.put_rule(Name=NAME, EventPattern='{"source": ["shop"]}')
    target = {
        "Id": NAME, "Arn": arn("lambda", f"function:{NAME}"), "DeadLetterConfig": {"Arn": arn("sqs", LETTERS)},
        "RetryPolicy": {"MaximumEventAgeInSeconds": 21600},
    }  # fmt: skip
    events.put_targets(Rule=NAME, Targets=[target])
    alarm(server, [arn("sns", "busway-alert-ops")])


def permit(server: WholeServer) -> None:
    server.client("lambda").add_permission(
        FunctionName=NAME, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=arn("events", f"rule/{NAME}"),
    )  # fmt: skip


def alarm(server: WholeServer, actions: list[str]) -> None:
    server.client("cloudwatch").put_metric_alarm(
        AlarmName=LETTERS, Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible", Statistic="Maximum",
        Dimensions=[{"Name": "QueueName", "Value": LETTERS}], Period=60, EvaluationPeriods=1, Threshold=0,
        ComparisonOperator="GreaterThanThreshold", AlarmActions=actions,
    )  # fmt: skip


@contextmanager
def deployed_project(home: Path, source: str) -> Generator[Deployed]:
    """One handler, whose code is `source`; `ops` is a profile that may do everything."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(f"[profile ops]\nregion = {REGION}\n")
    keys = f"aws_access_key_id = {ACCOUNT}\naws_secret_access_key = {SECRET}\n"
    (home / ".aws" / "credentials").write_text(f"[ops]\n{keys}")
    root = home / "shop"
    new_project(root, "shop")
    add_handler(root, HandlerSpec("one", PLACED))
    settings = root / "pyproject.toml"
    text = settings.read_text().partition("[tool.busway.env.prod]")[0]
    settings.write_text(f'{text}\n[tool.busway.env.prod]\ntarget = "aws"\n')
    with whole_server(home) as server:
        deploy(server, source)
        # The region is the profile's.
        del server.environment["AWS_DEFAULT_REGION"]
        yield Deployed(server, root)
