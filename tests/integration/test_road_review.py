"""What a change of a project's rule would do, and what its rules cannot do, asked of a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from busway.errors import ServerRefused
from busway.road.connection import Connection
from busway.road.preview import preview_change

from .whole_server import ACCOUNT, BIN, REGION, SECRET, WholeServer, arn, whole_server


class Shop:
    """A project that is deployed on a server: a rule for orders above 10, and three events."""

    def __init__(self, server: WholeServer, root: Path) -> None:
        self.server, self.root = server, root

    def busway(self, *words: str, code: int = 0) -> str:
        done = self.server.run(BIN / "busway", *words, folder=self.root)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def preview(self, *words: str) -> list[dict[str, Any]]:
        return json.loads(self.busway("rule", "preview", *words, "--json"))

    def change(self, total: list[Any]) -> None:
        file = self.root / "rules/big-orders.json"
        rule = json.loads(file.read_text())
        rule["EventPattern"]["detail"] = {"total": [{"numeric": total}]}
        file.write_text(json.dumps(rule))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("preview")
    with whole_server(folder) as server:
        made = Shop(server, folder)
        made.busway("new", "shop", "--bus", "orders")
        made.root = folder / "shop"
        words = ("--source", "shop", "--field", "total:int=50")
        made.busway("add", "event", "OrderPlaced", *words)
        made.busway("add", "rule", "big-orders", "--event", "OrderPlaced", "--to", "queue:audit")
        made.change([">", 10])
        made.busway("dev", "--once", "--zip")
        for total in (5, 50, 500):
            made.busway("send", "OrderPlaced", "--set", f"total={total}")
        yield made


def test_the_pattern_here_is_compared_with_the_one_that_is_deployed(shop: Shop):
    shop.change([">", 10])
    assert shop.preview() == []
    assert "all 1 patterns are those that the server has" in shop.busway("rule", "preview")
    (same,) = shop.preview("big-orders")
    assert (same["events"], same["old"], same["new"], same["more"], same["fewer"]) == (3, 2, 2, 0, 0)
    shop.change(["<", 100])
    (told,) = shop.preview()
    assert (told["name"], told["rule"], told["bus"]) == ("big-orders", "shop-big-orders", "orders")
    assert (told["events"], told["old"], told["new"], told["more"], told["fewer"]) == (3, 2, 2, 1, 1)
    assert [json.loads(each["detail"])["total"] for each in told["more_samples"]] == [5]
    assert [json.loads(each["detail"])["total"] for each in told["fewer_samples"]] == [500]
    said = shop.busway("rule", "preview", "big_orders", "--since", "3d", "--samples", "1")
    assert "big-orders (rule shop-big-orders on bus orders): changed" in said
    assert "of 3 events of the last 3 d, 2 matched and 2 would:\n  1 more, 1 fewer\n" in said
    assert "+ " in said and '{"total":500}' in said
    targets = shop.server.client("events").list_targets_by_rule(Rule="shop-big-orders", EventBusName="orders")
    assert len(targets["Targets"]) == 1


def test_a_rule_that_is_new_and_one_that_is_gone_are_told(shop: Shop):
    shop.change([">", 10])
    shop.busway("add", "rule", "all-orders", "--event", "OrderPlaced", "--to", "queue:audit")
    try:
        (told,) = shop.preview()
        assert (told["name"], told["deployed"], told["old"], told["new"], told["more"]) == (
            "all-orders",
            None,
            0,
            3,
            3,
        )
    finally:
        for file in (shop.root / "rules").glob("*all*orders*"):
            file.unlink()
    file = shop.root / "rules/big-orders.json"
    kept = file.read_text()
    file.unlink()
    try:
        (told,) = shop.preview("big-orders")
        assert (told["wanted"], told["old"], told["new"], told["fewer"]) == (None, 2, 0, 2)
    finally:
        file.write_text(kept)


def test_a_target_that_is_not_there_is_said_where_it_is_deployed_and_in_the_status(shop: Shop):
    file = shop.root / "rules/big-orders.json"
    kept = file.read_text()
    rule = json.loads(kept)
    rule["Targets"].append({"Arn": arn("sqs", "theirs")})
    file.write_text(json.dumps(rule))
    try:
        said = shop.busway("dev", "--once", "--zip")
        assert f"warning: rule big-orders: {arn('sqs', 'theirs')} gets nothing: there is no queue theirs" in said
        assert "rule shop-big-orders -> theirs: there is no queue theirs" in shop.busway("status")
        shop.server.client("sqs").create_queue(QueueName="theirs")
        assert "warning" not in shop.busway("dev", "--once", "--zip")
        assert "there is no queue" not in shop.busway("status")
    finally:
        file.write_text(kept)


def test_an_environment_is_asked_by_its_name(shop: Shop):
    file = shop.root / "pyproject.toml"
    kept = file.read_text()
    server = f'[tool.busway.env.ours]\ntarget = "{shop.server.url}"\n'
    file.write_text(f'{kept}\n{server}\n[tool.busway.env.cloud]\ntarget = "aws"\n')
    try:
        (told,) = json.loads(shop.busway("rule", "preview", "big-orders", "--env", "ours", "--json"))
        assert told["events"] == 3
        assert "cloud is on AWS" in shop.busway("rule", "preview", "--env", "cloud", code=1)
        assert "has no environment 'test'" in shop.busway("rule", "preview", "--env", "test", code=1)
    finally:
        file.write_text(kept)


def test_what_cannot_be_compared_is_said(shop: Shop):
    said = shop.busway("rule", "preview", "nothing", code=1)
    assert "neither the project nor the server on bus orders has a rule 'nothing'; the project has big-orders" in said
    for since in ("0h", "3w", "d"):
        assert f"--since is '{since}'; wanted" in shop.busway("rule", "preview", "--since", since, code=2)


def test_it_is_a_function_for_others(shop: Shop):
    connection = Connection(shop.server.url, ACCOUNT, SECRET, REGION)
    told = preview_change(connection, "orders", None, '{"source": ["shop"]}', 3_600.0, samples=0)
    assert (told.events, told.old, told.new, told.more, told.more_samples, told.stopped) == (3, 0, 3, 3, [], "")
    with pytest.raises(ServerRefused, match="Event bus nowhere does not exist"):
        preview_change(connection, "nowhere", None, None, 3_600.0)
    with pytest.raises(ServerRefused, match="Event pattern is not valid"):
        preview_change(connection, "orders", None, '{"source": "shop"}', 3_600.0)
