"""Deploying to a real server: takeover, refusal, rollback, drift, neighbours, and an end at any moment."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from busway.cli import main
from busway.errors import BrokenProject, ServerRefused
from busway.road.connection import Connection
from busway.road.event_files import EventSpec, find_event
from busway.road.fields import parse_fields
from busway.road.generator import SCHEDULED, BatchSpec, HandlerSpec, add_handler
from busway.road.project_files import new_project
from busway.road.release.history import Deployment, read_history
from busway.road.release.release import Project, deploy, read_project, review, roll_back

ORDER = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["id:str=1", "total:int=5"]))
# How many questions later a deployment is cut off the next time.
EVERY = 1 if os.environ.get("BUSWAY_NIGHTLY") else 5
# A key of twelve digits is an account of its own.
ACCOUNTS = itertools.count(200_000_000_001)


def silent(_: str) -> None:
    pass


class Shop:
    """A project, and a server that is new to it."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url, self.account = root, url, str(next(ACCOUNTS))
        self.connection = Connection(url, access_key=self.account)
        new_project(root, "shop")
        add_handler(root, HandlerSpec("first", ORDER))
        self.event = EventSpec("OrderPlaced", "", "", file=find_event(root, "OrderPlaced"))

    def add(self, name: str, **options: Any) -> None:
        add_handler(self.root, HandlerSpec(name, self.event, **options))

    def edit(self, name: str, was: str, to: str) -> None:
        file = self.root / f"handlers/{name}/handler.py"
        text = file.read_text()
        assert was in text
        file.write_text(text.replace(was, to))

    def read(self) -> Project:
        return asyncio.run(read_project(self.root))

    def deploy(self, project: Project | None = None) -> Deployment:
        found = review(project or self.read(), self.connection, {})
        return deploy(found, self.connection, {}, silent)

    def put(self, bus: str = "default", **detail: Any) -> str:
        text = json.dumps({"id": "1", **detail})
        entry = {"Source": "shop", "DetailType": "Order Placed", "Detail": text, "EventBusName": bus}
        (result,) = self.connection.call("events", "PutEvents", {"Entries": [entry]})["Entries"]
        return str(result["EventId"])

    def sample(self, handler: str) -> bytes:
        return (self.root / f"handlers/{handler}/sample.json").read_bytes()

    def lines(self, function: str) -> list[str]:
        found = self.connection.stream(f"/_busway/logs/{function}", quiet_s=0.2)
        return [str(line.get("text", line)) for line in found]

    def rules_of(self, event_id: str) -> list[str]:
        """The rules that took an event."""
        found = self.connection.get(f"/_busway/events/{event_id}")["rules"]
        return sorted(str(rule["rule"]) for rule in found if rule["matched"])


@pytest.fixture
def shop(tmp_path: Path, busway_server_url: str) -> Shop:
    return Shop(tmp_path / "shop", busway_server_url)


def version_of(shop: Shop, handler: str) -> str:
    alias = {"FunctionName": f"shop-{handler}", "Name": "live"}
    return str(shop.connection.call("lambda", "GetAlias", alias)["FunctionVersion"])


def invoke(shop: Shop, handler: str, **detail: Any) -> Any:
    event = {"source": "shop", "detail-type": "Order Placed", "detail": {"id": "1", "total": 1, **detail}}
    asked = {"FunctionName": f"shop-{handler}", "Qualifier": "live", "Payload": json.dumps(event)}
    return json.loads(shop.connection.call("lambda", "Invoke", asked)["Payload"].read())


RESULT = '    print(f"handling {event.envelope.id}: {event.detail_json()}")'


def answering(shop: Shop, answer: str, was: str = RESULT) -> str:
    """Let the first handler give back `answer`."""
    text = f'    return "{answer}"  # type: ignore'
    shop.edit("first", was, text)
    return text


def test_the_first_deployment_makes_all_and_the_second_finds_nothing_to_do(shop: Shop):
    assert shop.deploy().number == 1
    found = review(shop.read(), shop.connection, {})
    assert found.idle
    assert found.history.live is not None
    assert found.history.live.released["first"].version == "1"


def test_a_handler_is_changed_by_what_it_needs_and_not_by_other_handlers(shop: Shop):
    shop.add("second")
    shop.deploy()

    def changed() -> list[str]:
        return [one.name for one in review(shop.read(), shop.connection, {}).changes if one.kind == "change"]

    shop.edit("second", "handling", "taking up")
    assert changed() == ["second"]
    (shop.root / "handlers/second/prices.py").write_text("PRICES = [1]\n")
    shop.edit("first", "from busway import handler", "from busway import handler\nfrom handlers.second import prices")
    assert changed() == ["first", "second"]
    shop.edit("first", "\nfrom handlers.second import prices", "")
    assert changed() == ["second"]
    (shop.root / "prices.json").write_text("{}")
    assert changed() == ["first", "second"]


def test_a_rule_of_a_file_is_no_handler_s_code(shop: Shop):
    shop.deploy()
    (shop.root / "rules").mkdir()
    rule = {"EventPattern": {"source": ["shop"]}, "Targets": [{"Queue": "mine"}]}
    (shop.root / "rules/audit.json").write_text(json.dumps(rule))
    assert [(one.kind, one.name) for one in review(shop.read(), shop.connection, {}).changes] == [
        ("same", "first"), ("create", "audit"),
    ]  # fmt: skip


def test_a_version_that_cannot_start_changes_nothing(shop: Shop):
    was = answering(shop, "old")
    shop.deploy()
    shop.edit("first", "from busway import handler", "from busway import handler\nimport os")
    shop.edit("first", was, '    return "new"  # type: ignore\n\n\nif os.environ.get("LAMBDA_TASK_ROOT"):\n    1 / 0')
    with pytest.raises(
        BrokenProject, match="version 2 cannot start and read its sample: ZeroDivisionError: division by zero"
    ):
        shop.deploy()
    assert (version_of(shop, "first"), invoke(shop, "first")) == ("1", "old")
    failed = read_history(shop.connection, "shop").deployments[0]
    assert (failed.number, failed.state) == (2, "failed")
    assert "ZeroDivisionError" in failed.error


def test_a_version_that_cannot_read_its_sample_changes_nothing(shop: Shop):
    shop.deploy()
    sample = shop.root / "handlers/first/sample.json"
    event = json.loads(sample.read_text())
    sample.write_text(json.dumps({**event, "detail": {"id": 1}}))
    shop.edit("first", "handling", "taking up")
    with pytest.raises(BrokenProject, match="version 2 cannot start and read its sample: EventMismatch"):
        shop.deploy()
    assert version_of(shop, "first") == "1"


def test_the_trial_reads_the_sample_and_runs_nothing_of_the_handler(shop: Shop):
    shop.edit("first", RESULT, '    raise RuntimeError("it ran")')
    shop.deploy()
    assert not [line for line in shop.lines("shop-first") if "it ran" in line]


def test_a_rollback_brings_back_code_pattern_and_retries_and_takes_what_was_new(shop: Shop):
    was = answering(shop, "old")
    shop.deploy()
    answering(shop, "new", was)
    shop.edit("first", "retries=2", 'retries=1, filter={"total": [{"numeric": [">", 9]}]}')
    shop.add("second")
    shop.deploy()
    assert invoke(shop, "first") == "new"
    back = roll_back("shop", shop.connection, silent)
    assert (back.number, back.again, invoke(shop, "first")) == (3, 1, "old")
    rule = shop.connection.call("events", "DescribeRule", {"Name": "shop-first"})
    assert "detail" not in json.loads(rule["EventPattern"])
    config = {"FunctionName": "shop-first", "Qualifier": "live"}
    assert shop.connection.call("lambda", "GetFunctionEventInvokeConfig", config)["MaximumRetryAttempts"] == 2
    with pytest.raises(ServerRefused, match="ResourceNotFound"):
        shop.connection.call("events", "DescribeRule", {"Name": "shop-second"})
    with pytest.raises(BrokenProject, match="no earlier deployment of shop"):
        roll_back("shop", shop.connection, silent)


def test_a_handler_that_is_gone_keeps_its_function_for_a_rollback(shop: Shop):
    shop.add("second")
    with_both = shop.read()
    shop.deploy(with_both)
    for file in (shop.root / "handlers/second").iterdir():
        file.unlink()
    shop.deploy()
    assert version_of(shop, "second") == "1"
    roll_back("shop", shop.connection, silent)
    assert shop.rules_of(shop.put(total=1)) == ["shop-first", "shop-second"]


def test_a_function_goes_when_no_deployment_has_it_any_more(shop: Shop):
    shop.add("second")
    with_both = shop.read()
    shop.deploy(with_both)
    for file in (shop.root / "handlers/second").iterdir():
        file.unlink()
    project = shop.read()
    (entry,) = project.manifest.handlers
    for memory_mb in range(256, 267):
        manifest = structs.replace(project.manifest, handlers=[structs.replace(entry, memory_mb=memory_mb)])
        shop.deploy(replace(project, manifest=manifest))
    functions = shop.connection.call("lambda", "ListFunctions", {})["Functions"]
    assert [one["FunctionName"] for one in functions] == ["shop-first"]
    versions = shop.connection.call("lambda", "ListVersionsByFunction", {"FunctionName": "shop-first"})["Versions"]
    # $LATEST, and one for each deployment that is known.
    assert len(versions) == 11


def test_what_somebody_changed_by_hand_is_shown_and_set_back(shop: Shop):
    shop.add("second", batch=BatchSpec(10, "1s"))
    project = shop.read()
    shop.deploy(project)
    call = shop.connection.call
    call("events", "DisableRule", {"Name": "shop-first"})
    call("lambda", "UpdateAlias", {"FunctionName": "shop-second", "Name": "live", "FunctionVersion": "$LATEST"})
    queue = call("sqs", "GetQueueUrl", {"QueueName": "shop-first-dead-letters"})["QueueUrl"]
    call("sqs", "DeleteQueue", {"QueueUrl": queue})
    (mapping,) = call("lambda", "ListEventSourceMappings", {})["EventSourceMappings"]
    call("lambda", "UpdateEventSourceMapping", {"UUID": mapping["UUID"], "BatchSize": 3, "Enabled": False})
    call("cloudwatch", "DeleteAlarms", {"AlarmNames": ["shop-first-dead-letters"]})
    found = review(project, shop.connection, {})
    assert {(one.name, one.thing, one.setting) for one in found.drift} == {
        ("first", "rule", "State"),
        ("first", "queue", ""),
        ("first", "alarm", ""),
        ("second", "alias live", "version"),
        ("second", "mapping", "BatchSize"),
        ("second", "mapping", "Enabled"),
    }
    deploy(found, shop.connection, {}, silent)
    assert review(project, shop.connection, {}).idle


def test_a_target_that_somebody_added_is_shown_and_taken_away(shop: Shop):
    (shop.root / "rules").mkdir()
    rule = {"EventPattern": {"source": ["shop"]}, "Targets": [{"Queue": "mine"}]}
    (shop.root / "rules/audit.json").write_text(json.dumps(rule))
    shop.deploy()
    for name in ("shop-first", "shop-audit"):
        target = {"Id": "extra", "Arn": shop.connection.scope.arn("sqs", "elsewhere")}
        shop.connection.call("events", "PutTargets", {"Rule": name, "Targets": [target]})
    found = review(shop.read(), shop.connection, {})
    assert [(one.name, one.thing, one.setting, one.wanted) for one in found.drift] == [
        ("first", "rule target", "extra", None),
        ("audit", "rule target", "extra", None),
    ]
    deploy(found, shop.connection, {}, silent)
    assert review(shop.read(), shop.connection, {}).idle


def test_the_trial_is_outside_of_what_a_handler_is_bound_by(shop: Shop):
    shop.edit("first", "retries=2", 'retries=2, rate="1/h", concurrency=1')
    shop.deploy()
    # Somebody stopped it by hand, as one does on AWS.
    stopped = {"FunctionName": "shop-first", "ReservedConcurrentExecutions": 0}
    shop.connection.call("lambda", "PutFunctionConcurrency", stopped)
    for retries in (1, 0):
        shop.edit("first", f"retries={retries + 1}", f"retries={retries}")
        shop.deploy()
    # Nothing of the rate is used up.
    call = {"FunctionName": "shop-first", "Qualifier": "live", "Payload": shop.sample("first")}
    assert "FunctionError" not in shop.connection.call("lambda", "Invoke", call)
    with pytest.raises(ServerRefused, match="TooManyRequests"):
        shop.connection.call("lambda", "Invoke", call)


def test_a_variable_with_another_value_is_a_change_and_one_that_is_not_set_stays(shop: Shop):
    shop.edit("first", "retries=2", 'retries=2, env=["LEVEL"]')
    with pytest.raises(BrokenProject, match="passes on env 'LEVEL', which is not set here"):
        shop.deploy()
    deploy(review(shop.read(), shop.connection, {"LEVEL": "a"}), shop.connection, {"LEVEL": "a"}, silent)
    assert review(shop.read(), shop.connection, {}).idle
    found = review(shop.read(), shop.connection, {"LEVEL": "b"})
    (change,) = found.changes
    assert [one.name for one in change.differences] == ["variable LEVEL"]
    assert not found.drift
    deploy(found, shop.connection, {}, silent)
    live = {"FunctionName": "shop-first", "Qualifier": "live"}
    told = shop.connection.call("lambda", "GetFunctionConfiguration", live)
    assert told["Environment"]["Variables"]["LEVEL"] == "b"


def test_the_commit_of_a_deployment_says_what_is_not_in_it(shop: Shop):
    git = ["git", "-C", str(shop.root), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "work"]):
        subprocess.run([*git, *words], check=True)
    clean = shop.read().commit
    assert len(clean) == 12
    (shop.root / "handlers/first/more.py").write_text("MORE = 1\n")
    assert shop.read().commit == f"{clean}+"


def test_projects_that_share_a_bus_leave_each_other_alone(shop: Shop, tmp_path: Path):
    shop.deploy()
    other = Shop(tmp_path / "more", shop.url)
    other.connection = shop.connection
    settings = other.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace('name = "shop"', 'name = "shop-first"'))
    other.deploy()
    other.edit("first", "retries=2", "retries=1")
    other.deploy()
    assert review(shop.read(), shop.connection, {}).idle
    # What a project's name and a handler's give together may be another's already.
    settings.write_text(settings.read_text().replace('name = "shop-first"', 'name = "sh"'))
    shop.connection.call("lambda", "TagResource", {
        "Resource": shop.connection.scope.arn("lambda", "function:shop-first"), "Tags": {"busway:project": "sh"},
    })  # fmt: skip
    with pytest.raises(BrokenProject, match=r"function shop-first is on .* already, and it is of project 'sh'"):
        review(shop.read(), shop.connection, {})


def test_a_rule_of_another_project_is_neither_replaced_nor_ended(shop: Shop, tmp_path: Path):
    other = Shop(tmp_path / "more", shop.url)
    other.connection = shop.connection
    settings = other.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace('name = "shop"', 'name = "shop-eu"'))
    other.deploy()
    (shop.root / "rules").mkdir()
    rule = {"EventPattern": {"source": ["shop"]}, "Targets": [{"Queue": "mine"}]}
    (shop.root / "rules/eu-first.json").write_text(json.dumps(rule))
    with pytest.raises(BrokenProject, match=r"rule shop-eu-first is on bus default .* of project 'shop-eu'"):
        shop.deploy()
    assert review(other.read(), other.connection, {}).idle


def test_the_rule_of_a_schedule_is_looked_for_where_schedules_are(shop: Shop):
    settings = shop.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace('bus = "default"', 'bus = "orders"'))
    add_handler(shop.root, HandlerSpec("nightly", SCHEDULED, schedule="rate(1 day)"))
    theirs = {"Name": "shop-nightly", "ScheduleExpression": "rate(1 hour)"}
    shop.connection.call("events", "PutRule", theirs)
    with pytest.raises(BrokenProject, match=r"rule shop-nightly is on bus default .* it is of no project"):
        shop.deploy()


class Killed(BaseException):
    """As by kill -9: nothing of ours runs after it."""


class Mortal(Connection):
    """A connection whose process ends before its nth question."""

    left = 0

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._age()
        return super().call(service, operation, parameters)

    def put(self, path: str, body: Any) -> Any:
        self._age()
        return super().put(path, body)

    def _age(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.mark.slow
def test_whenever_a_deployment_is_cut_off_the_next_one_finishes_it(shop: Shop):
    """One handler is changed, one gone, one new, in batches. Each try is a project of its own on a bus of its own."""
    shop.add("second")
    was = shop.read()
    for file in (shop.root / "handlers/second").iterdir():
        file.unlink()
    shop.edit("first", "retries=2", "retries=1")
    shop.add("third", batch=BatchSpec(10, "1s"))
    to = shop.read()
    mortal = Mortal(shop.url, access_key=shop.account)
    for moment in itertools.count(1, EVERY):
        name = f"shop{moment}"
        was, to = (replace(one, manifest=structs.replace(one.manifest, project=name, bus=name)) for one in (was, to))
        shop.deploy(was)
        found = review(to, shop.connection, {})
        mortal.left = moment
        try:
            deploy(found, mortal, {}, silent)
        except Killed:
            assert f"{name}-first" in shop.rules_of(shop.put(name, total=1))
        else:
            break
        shop.deploy(to)
        again = review(to, shop.connection, {})
        assert again.idle, f"cut off before question {moment}: {again.changes} {again.drift}"
        rules = shop.connection.call("events", "ListRules", {"EventBusName": name})["Rules"]
        assert [rule["Name"] for rule in rules] == [f"{name}-first", f"{name}-third"]
    assert moment > 30


def test_two_who_deploy_at_once_do_not_mix(shop: Shop):
    project = shop.read()
    found = review(project, shop.connection, {})
    shop.connection.put(
        "/_busway/deployments/shop",
        {"number": 1, "state": "running", "by": "ada@elsewhere:7", "body": {"manifest": project.manifest}},
    )
    with pytest.raises(ServerRefused, match="ada@elsewhere:7 is making deployment 1"):
        deploy(found, shop.connection, {}, silent)


def test_the_words_of_the_command_line_tell_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    settings = shop.root / "pyproject.toml"
    settings.write_text(settings.read_text() + f'\n[tool.busway.env.staging]\ntarget = "{shop.url}"\n')
    monkeypatch.chdir(shop.root)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", shop.account)
    assert main(["diff", "staging", "--check"]) == 1
    assert "+ create handler first" in capfd.readouterr().out
    assert main(["deploy", "staging", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["deployment"]["number"] == 1
    assert told["changes"] == [{"kind": "create", "what": "handler", "name": "first", "differences": []}]
    assert main(["diff", "staging", "--check"]) == 0
    shop.edit("first", "retries=2", "retries=1")
    assert main(["deploy", "staging"]) == 0
    assert "    retries: 2 -> 1" in capfd.readouterr().out
    assert main(["status", "staging"]) == 0
    assert "deployment 2 live" in capfd.readouterr().out
    assert main(["rollback", shop.url]) == 0
    assert "deployment 3 is live: what ran in 1" in capfd.readouterr().err
    assert main(["invoke", "first", "--endpoint", shop.url, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["version"] == "1"
    assert main(["deploy", "nowhere"]) == 1
    assert "has no environment 'nowhere'; it has prod" in capfd.readouterr().err


def test_a_diff_tells_which_events_a_changed_pattern_would_have_matched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    shop.deploy()
    for total in (1, 10, 100):
        shop.put(total=total)
    shop.edit("first", "retries=2", 'retries=2, filter={"total": [{"numeric": [">", 9]}]}')
    monkeypatch.chdir(shop.root)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", shop.account)
    capfd.readouterr()
    assert main(["diff", shop.url, "--json"]) == 0
    (preview,) = json.loads(capfd.readouterr().out)["previews"]
    assert (preview["old"], preview["new"], preview["more"], preview["fewer"]) == (3, 2, 0, 1)
    assert main(["diff", shop.url]) == 0
    assert " events of the last 7 d, 3 matched and 2 would:" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["deploy", "diff", "status", "rollback"])
def test_with_only_credentials_missing_aws_says_what_and_where(command: str, shop: Shop):
    bare = {"PATH": os.environ["PATH"], "HOME": str(shop.root), "AWS_EC2_METADATA_DISABLED": "true"}
    words = [sys.executable, "-m", "busway", command, "prod"]
    done = subprocess.run(words, cwd=shop.root, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "\nhint: " in done.stderr
    assert "region" in done.stderr
    done = subprocess.run(
        words, cwd=shop.root, env={**bare, "AWS_REGION": "eu-west-1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "credentials" in done.stderr and "AWS_ACCESS_KEY_ID" in done.stderr
