"""The zips that are deployed to AWS, run as Lambda runs them: by AWS's client, with nothing beside them."""

from __future__ import annotations

import asyncio
import io
import json
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal import moto_api_backend
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends

from busway.errors import BrokenProject
from busway.road.aws.dependencies import requirements_of
from busway.road.aws.packages import Package, make_packages
from busway.road.aws.template import make_template, template_json
from busway.road.describe import describe
from busway.road.manifest import Manifest
from busway.road.root import AwsSettings

from .lambda_machine import PATIENCE_S, lambda_machine, python_command
from .packages import put_road_packages, written

ROOT = Path(__file__).parents[2]
# The machine that these tests run on, as if it were Lambda's.
HERE = AwsSettings(
    python=f"3.{sys.version_info.minor}",  # pyright: ignore[reportArgumentType]
    architecture="arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
)
# Every module of Busway that a handler takes with it. What is new here makes each zip larger, and each start longer.
LIGHT = {
    "busway/__init__.py", "busway/batch.py", "busway/batch_handling.py", "busway/event.py", "busway/handling.py",
    "busway/idempotent.py", "busway/publishing.py",
    *(f"busway/errors/{name}.py" for name in (
        "__init__", "bus", "engine", "event", "function", "logs", "metrics", "notice", "outbox", "queue", "road",
        "root", "secret", "server", "stream", "topic",
    )),
}  # fmt: skip


def packed(root: Path, settings: AwsSettings = HERE) -> tuple[Manifest, dict[str, Package]]:
    async def made() -> tuple[Manifest, dict[str, Package]]:
        manifest = await describe(root)
        return manifest, await make_packages(root, manifest, settings)

    return asyncio.run(made())


def names(package: Package) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(package.data)).namelist())


def copied(example: str, folder: Path) -> Path:
    left_out = shutil.ignore_patterns(".busway", "__pycache__", "node_modules")
    return shutil.copytree(ROOT / "examples" / example, folder / "project", ignore=left_out)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Package]:
    root = copied("customer-notification", tmp_path_factory.mktemp("sample"))
    return root, packed(root)[1]["notify-customer"]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """The address of an AWS that is moto's."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield url
    moto_api_backend.reset()
    server.stop()


def sent_mail() -> list[Any]:
    return ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages


def once_table(name: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


def test_the_sample_sends_its_mail_once_from_its_zip_alone(sample: tuple[Path, Package], aws: str, tmp_path: Path):
    root, package = sample
    event = json.loads((root / "handlers" / "notify_customer" / "sample.json").read_text())
    boto3.client("sesv2").create_email_identity(EmailIdentity="notifications@example.com")
    once_table("steps")
    variables = {"AWS_ENDPOINT_URL": aws, "BUSWAY_ONCE_TABLE": "steps"}
    with lambda_machine(package.data, package.entry_point, tmp_path, variables) as machine:
        assert machine.invoke(event) is None
        assert machine.invoke(event) is None
        with pytest.raises(RuntimeError, match="EventMismatch"):
            machine.invoke({**event, "id": "2", "detail": "nonsense"})
    (mail,) = sent_mail()
    assert mail.destinations["ToAddresses"] == ["user@example.com"]


def test_a_handler_takes_of_busway_what_it_imports_and_nothing_else(sample: tuple[Path, Package], tmp_path: Path):
    _, package = sample
    found = names(package)
    assert {name for name in found if name.startswith("busway/")} == LIGHT
    assert {name for name in found if name.startswith(("events/", "handlers/"))} == {
        "events/__init__.py", "events/customer_notification.py", "handlers/__init__.py",
        "handlers/notify_customer/handler.py",
    }  # fmt: skip
    assert not [name for name in found if name.startswith(("boto3/", "botocore/", "click/", "rich/"))]
    task = tmp_path / "task"
    zipfile.ZipFile(io.BytesIO(package.data)).extractall(task)
    source = (
        "import sys; sys.path[:0] = sys.argv[1:3]; import handlers.notify_customer.handler, json;"
        "from busway import batch_handler, once, publish, ScheduledEvent;"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('busway', 'pydantic')]))"
    )
    command = python_command(source, task, tmp_path)
    loaded = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_S).stdout)
    assert all(Path(file).is_relative_to(task) for file in loaded)
    assert {str(Path(file).relative_to(task)) for file in loaded if "/busway/" in file} == LIGHT


def test_the_same_files_make_the_same_bytes(sample: tuple[Path, Package], tmp_path: Path):
    again = packed(copied("customer-notification", tmp_path))[1]["notify-customer"]
    assert again.data == sample[1].data
    assert again.digest == sample[1].digest


def test_synth_writes_a_template_beside_the_code_that_it_names(sample: tuple[Path, Package], tmp_path: Path):
    root, out = sample[0], tmp_path / "build"

    def synth(*words: str) -> str:
        command = [sys.executable, "-m", "busway", "synth", "prod", *words]
        return subprocess.run(
            command, cwd=root, capture_output=True, check=True, text=True, timeout=PATIENCE_S
        ).stdout

    told = json.loads(synth("--out", str(out), "--json"))
    template = json.loads((out / "template.json").read_text())
    code = template["Resources"]["NotifyCustomerFunction"]["Properties"]["Code"]
    assert told == {
        "stack": "customer-notification-prod",
        "files": [str(out / "template.json"), str(out / code["S3Key"])],
    }
    assert zipfile.is_zipfile(out / code["S3Key"])
    assert json.loads(synth()) == template


PYPROJECT = """
    [project]
    name = "shop"
    dependencies = ["boto3>=1.40", "busway", {more}]
    [tool.busway]
"""
EVENT = """
    from busway import Event

    class Order(Event, source="shop", detail_type="Order"):
        total: int
"""
HANDLER = """
    import os
    from typing import TYPE_CHECKING
    from busway import handler, {more}
    from events.order import Order
    from shop.money import doubled
    import rates
    if TYPE_CHECKING:
        import unused

    KEY = os.environ.get("KEY", "none")

    def charge(total: int) -> int:
        return doubled(total)

    @handler(Order, {options})
    def pay(event: Order) -> list[object]:
        {body}
"""


def shop(
    root: Path, options: str = "", body: str = "return [KEY, doubled(event.total), rates.RATE]", **more: str
) -> Path:
    return written(root, {
        "pyproject.toml": PYPROJECT.format(more=more.get("dependency", "")),
        "events/order.py": EVENT,
        "events/other.py": EVENT.replace("Order", "Other"),
        "handlers/pay/handler.py": HANDLER.format(options=options, body=body, more=more.get("imported", "Event")),
        "handlers/pay/letter.txt": "Dear",
        "handlers/pay/test_pay.py": "",
        "shop/__init__.py": "",
        "shop/money.py": "def doubled(total): return 2 * total",
        "shop/table.csv": "1,2",
        "rates.py": "RATE = 3",
        "unused.py": "",
    })  # fmt: skip


def test_a_handler_takes_of_its_project_what_it_imports_with_packages_whole(tmp_path: Path):
    (package,) = packed(shop(tmp_path))[1].values()
    mine = {name for name in names(package) if not name.startswith(("busway/", "pydantic", "typing", "annotated"))}
    assert mine == {
        "events/order.py", "handlers/pay/handler.py", "handlers/pay/letter.txt", "rates.py", "shop/__init__.py",
        "shop/money.py", "shop/table.csv",
    }  # fmt: skip
    assert not package.steps


def test_a_handler_that_calls_once_says_so(tmp_path: Path):
    body = "return [once(event.envelope.id, charge, event.total)]"
    (package,) = packed(shop(tmp_path, "once=False", body, imported="once"))[1].values()
    assert package.steps


def test_a_secret_is_there_before_the_handler_is_loaded(aws: str, tmp_path: Path):
    boto3.client("secretsmanager").create_secret(Name="shop/prod/KEY", SecretString="sk_1")
    (package,) = packed(shop(tmp_path / "shop", 'once=False, secrets=["KEY"]'))[1].values()
    event = {"id": "1", "source": "shop", "detail-type": "Order", "detail": {"total": 5}}
    variables = {"AWS_ENDPOINT_URL": aws, "BUSWAY_SECRETS": '{"KEY": "shop/prod/KEY"}'}
    with lambda_machine(package.data, package.entry_point, tmp_path, variables) as machine:
        assert machine.invoke(event) == ["sk_1", 10, 3]


def test_what_a_project_declares_is_installed_for_lambdas_machine_and_not_for_this_one(tmp_path: Path):
    settings = AwsSettings(python="3.13", architecture="arm64")
    (package,) = packed(shop(tmp_path, dependency='"msgspec>=0.20"'), settings)[1].values()
    compiled = [name for name in names(package) if name.endswith(".so")]
    assert {name.split("/")[0] for name in compiled} == {"msgspec", "pydantic_core"}
    assert all("cpython-313-aarch64" in name for name in compiled)


def test_an_extra_of_busway_that_a_project_asks_for_comes_with_it(tmp_path: Path):
    root = shop(tmp_path, dependency='"busway[outbox]", "msgspec>=0.20"')
    asked = {line.split(">")[0] for line in requirements_of(root)}
    assert asked == {"msgspec", "pydantic", "sqlalchemy"}


def test_a_dependency_that_lambda_cannot_have_is_named(tmp_path: Path):
    with pytest.raises(BrokenProject, match=r"pyproject\.toml(?s:.*)msgspec>=999"):
        packed(shop(tmp_path, dependency='"msgspec>=999"'))


@pytest.mark.needs("node")
def test_the_twin_in_typescript_sends_its_mail_from_its_bundle_alone(aws: str, tmp_path: Path):
    root = copied("customer-notification-ts", tmp_path)
    put_road_packages(root)
    manifest, packages = packed(root)
    (package,) = packages.values()
    assert names(package) == {"handler.mjs", "handler.mjs.map"}
    template = make_template(manifest, "prod", HERE, {"notify-customer": package.code})
    assert cfn_lint(template_json(template), config=ManualArgs(regions=["us-east-1"])) == []
    event = json.loads((root / "handlers" / "notify-customer" / "sample.json").read_text())
    boto3.client("sesv2").create_email_identity(EmailIdentity="notifications@example.com")
    with lambda_machine(package.data, package.entry_point, tmp_path, {"AWS_ENDPOINT_URL": aws}, node=True) as machine:
        machine.invoke(event)
        with pytest.raises(RuntimeError, match="EventMismatch"):
            machine.invoke({**event, "detail": "nonsense"})
    (mail,) = sent_mail()
    assert mail.destinations["ToAddresses"] == ["user@example.com"]


SDK = """
    exports.SecretsManagerClient = class { send({ SecretId }) { return { SecretString: `value of ${SecretId}` }; } };
    exports.GetSecretValueCommand = class { constructor({ SecretId }) { this.SecretId = SecretId; } };
"""
KEYED = """
    import { handler } from "busway";
    import { CustomerNotification } from "../../events/customer-notification.ts";

    const KEY = process.env["KEY"];
    export const tell = handler(CustomerNotification, { secrets: ["KEY"] }, () => KEY);
"""


@pytest.mark.needs("node")
def test_in_typescript_too_a_secret_is_there_before_the_handler_is_loaded(tmp_path: Path):
    root = copied("customer-notification-ts", tmp_path)
    put_road_packages(root)
    written(root, {"handlers/tell/handler.ts": KEYED})
    # Where Lambda's runtime has AWS's SDK.
    sdk = "node_modules/@aws-sdk/client-secrets-manager"
    written(tmp_path / "runtime", {f"{sdk}/index.js": SDK, f"{sdk}/package.json": "{}"})
    package = packed(root)[1]["tell"]
    event = json.loads((root / "handlers" / "notify-customer" / "sample.json").read_text())
    variables = {"NODE_PATH": str(tmp_path / "runtime" / "node_modules"), "BUSWAY_SECRETS": '{"KEY": "shop/KEY"}'}
    with lambda_machine(package.data, package.entry_point, tmp_path, variables, node=True) as machine:
        assert machine.invoke(event) == "value of shop/KEY"


TABLE = """
    const rows = new Map();
    class Refused extends Error {
      name = "ConditionalCheckFailedException";
      constructor(Item) { super("no"); this.Item = Item; }
    }
    exports.DynamoDBClient = class {
      async send({ kind, input }) {
        const key = (input.Item ?? input.Key).id.S;
        const row = rows.get(key);
        if (kind === "delete") {
          if (row?.claimant?.S !== input.ExpressionAttributeValues[":by"].S) throw new Refused(row);
          return rows.delete(key);
        }
        const done = input.ConditionExpression.includes("#state");
        const free = row === undefined || (done ? row.state.S !== "done" : Number(row.until.N) <= Date.now() / 1000);
        if (!free) throw new Refused(row);
        rows.set(key, input.Item);
      }
    };
    exports.PutItemCommand = class { constructor(input) { this.input = input; } };
    exports.DeleteItemCommand = class { kind = "delete"; constructor(input) { this.input = input; } };
"""
COUNTING = """
    import { handler } from "busway";
    import { CustomerNotification } from "../../events/customer-notification.ts";

    let handled = 0;
    export const count = handler(CustomerNotification, {}, (event) => {
      handled += 1;
      if (event.detail.notification === "fail once" && handled === 1) throw new Error("not yet");
      return handled;
    });
"""


@pytest.mark.needs("node")
def test_in_typescript_too_an_event_that_was_handled_is_not_handled_again(tmp_path: Path):
    root = copied("customer-notification-ts", tmp_path)
    put_road_packages(root)
    written(root, {"handlers/count/handler.ts": COUNTING})
    sdk = "node_modules/@aws-sdk/client-dynamodb"
    written(tmp_path / "runtime", {f"{sdk}/index.js": TABLE, f"{sdk}/package.json": "{}"})
    package = packed(root)[1]["count"]
    event = json.loads((root / "handlers" / "notify-customer" / "sample.json").read_text())
    event["detail"]["notification"] = "fail once"
    on_aws = {"NODE_PATH": str(tmp_path / "runtime" / "node_modules")}
    with lambda_machine(
        package.data, package.entry_point, tmp_path, {**on_aws, "BUSWAY_ONCE_TABLE": "t"}, node=True
    ) as machine:
        with pytest.raises(RuntimeError, match="not yet"):
            machine.invoke(event)
        assert [machine.invoke(event), machine.invoke(event)] == [2, 2]
        assert machine.invoke({**event, "id": "2"}) == 3
    with lambda_machine(package.data, package.entry_point, tmp_path, on_aws, node=True) as machine:
        with pytest.raises(RuntimeError, match="not yet"):
            machine.invoke(event)
        assert [machine.invoke(event), machine.invoke(event)] == [2, 3], "without a table nobody remembers"
