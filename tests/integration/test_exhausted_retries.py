"""What can't be delivered for a day: attempts, then a dead letter that says why, then back on its way."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.whole_server import ACCOUNT, REGION, WholeServer, arn, attributes_of, message_of, whole_server

TOPIC = arn("sns", "busway-alert-pager")


class Receiver(ThreadingHTTPServer):
    """Answers every POST with `status` and keeps its body."""

    status = 503

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.bodies: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever).start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.server_close()


def alarmed(server: WholeServer) -> None:
    """A queue whose first message raises an alarm, which goes to a webhook."""
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="parcels-lost")["QueueUrl"]
    server.client("cloudwatch").put_metric_alarm(
        AlarmName="parcels-lost", Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "parcels-lost"}], Statistic="Maximum", Period=60,
        EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold", AlarmActions=[TOPIC],
    )  # fmt: skip
    sqs.send_message(QueueUrl=queue, MessageBody="one")


def attempts_of(server: WholeServer) -> int:
    """As the server counts them; an alarm is no rule, so not in AWS/Events."""
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    assert not [one for one in lines if one.startswith("aws_events_") and "alarm" in one]
    (line,) = [
        one for one in lines if one.startswith("busway_alerts_attempts_total") and TOPIC.rsplit(":", 1)[1] in one
    ]
    return int(float(line.rsplit(" ", 1)[1]))


def dead_letter(server: WholeServer) -> Any:
    """What the bus's own queue for undeliverable events gets first; the clock moves until it is there."""
    sqs = server.client("sqs")
    for _ in range(200):
        server.busway("clock", "+20m")
        try:
            url = sqs.get_queue_url(QueueName="busway-undeliverable-default")["QueueUrl"]
        except sqs.exceptions.QueueDoesNotExist:
            continue
        found = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=0)
        if found.get("Messages"):
            return message_of(found)
    raise AssertionError("no dead letter came")


def test_a_target_that_fails_for_a_day_leaves_a_dead_letter_that_names_the_exhausted_limit(tmp_path: Path):
    with receiving() as receiver, whole_server(tmp_path, clock="manual") as server:
        server.busway("alert", "set", "pager", "--kind", "webhook", "--url", receiver.url)
        alarmed(server)
        message = dead_letter(server)

        found = attributes_of(message)
        # The clock may be moved before an attempt's request arrives: then it was tried, and timed out unseen.
        attempts = attempts_of(server)
        assert 5 < len(receiver.bodies) <= attempts
        assert found["EXHAUSTED_RETRY_CONDITION"] == ("String", "MaximumEventAgeInSeconds")
        assert found["RETRY_ATTEMPTS"] == ("String", str(attempts - 1))
        assert found["TARGET_ARN"] == ("String", f"arn:aws:sns:{REGION}:{ACCOUNT}:busway-alert-pager")
        assert "503" in found["ERROR_MESSAGE"][1]
        # The same each time: who gets two of them sees one.
        assert len({json.dumps(body, sort_keys=True) for body in receiver.bodies}) == 1
