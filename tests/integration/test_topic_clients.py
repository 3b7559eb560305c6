"""Topics with other clients than boto3: the AWS CLI and AWS's SDK for JavaScript, unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .packages import ROOT, npm_installed
from .whole_server import BIN, PATIENCE_S, REGION, WholeServer, arn, whole_server


def aws(server: WholeServer, *words: str) -> Any:
    done = server.run(BIN / "aws", "--endpoint-url", server.url, "--output", "json", *words)
    assert done.returncode == 0, f"aws {' '.join(words)}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else {}


def test_the_aws_command_publishes_to_a_queue_and_says_why_it_may_not(tmp_path: Path):
    with whole_server(tmp_path) as server:
        topic = aws(server, "sns", "create-topic", "--name", "orders", "--tags", "Key=team,Value=a")["TopicArn"]
        url = aws(server, "sqs", "create-queue", "--queue-name", "orders")["QueueUrl"]
        policy = json.dumps({"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"n":[{"numeric":[">",1]}]}'})
        subscription = aws(
            server, "sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint",
            arn("sqs", "orders"), "--attributes", policy,
        )["SubscriptionArn"]  # fmt: skip
        assert subscription.startswith(f"{topic}:")
        for n in (1, 2):
            aws(server, "sns", "publish", "--topic-arn", topic, "--message", json.dumps({"n": n}), "--subject", "s")
        (message,) = aws(server, "sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "20")[
            "Messages"
        ]
        assert json.loads(json.loads(message["Body"])["Message"]) == {"n": 2}
        listed = aws(server, "sns", "list-subscriptions")["Subscriptions"]
        assert [(one["SubscriptionArn"], one["Protocol"]) for one in listed] == [(subscription, "sqs")]
        aws(server, "sns", "unsubscribe", "--subscription-arn", subscription)
        assert aws(server, "sns", "list-subscriptions")["Subscriptions"] == []
        refused = server.run(
            BIN / "aws", "--endpoint-url", server.url, "sns", "publish", "--message", "x",
            "--topic-arn", f"{topic}-not",
        )  # fmt: skip
        assert "(NotFound) when calling the Publish operation: Topic does not exist" in refused.stderr


@pytest.mark.needs("node")
def test_the_javascript_sdk_subscribes_publishes_and_knows_every_error(tmp_path: Path):
    source = ROOT / "tests" / "node"
    sdk = npm_installed("node", source)
    shutil.copyfile(source / "topics.mjs", sdk / "topics.mjs")
    with whole_server(tmp_path) as server:
        ran = subprocess.run(
            ["node", "topics.mjs", arn("sqs", "from-node")], cwd=sdk,
            env={**server.environment, "AWS_REGION": REGION, "NODE_OPTIONS": "--unhandled-rejections=strict"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "topic": arn("sns", "from-node"),
        "tags": [{"Key": "team", "Value": "ü"}],
        "subscription": ['{"kind":["wanted"]}', "false"],
        "batch": ["a", "b"],
        "received": [["höllo & <more>\r\n", "wanted"]],
        "missing": [True, "Topic does not exist", 404],
        "invalid": [True, "Invalid parameter: Amazon SNS does not support this protocol string: sms", 400],
    }
