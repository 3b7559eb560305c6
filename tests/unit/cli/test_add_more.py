"""What else the generator makes: schedules, events, projects of folders that are there, by a team's own templates."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from busway.cli import main

NEW_EVENT = ["--event", "OrderPlaced", "--source", "shop", "--detail-type", "Order Placed", "--field", "total:int=5"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "shop"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "busway", "test"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["schedule", "nightly", "cron(0 2 * * ? *)"], ["schedule", "poll", "rate(1 day)"]])
def test_a_scheduled_handler_is_made_and_its_own_tests_pass(shop: Path, words: list[str]):
    assert main(["add", *words, "--alert", "pagerduty"]) == 0
    written = (shop / f"handlers/{words[1]}/handler.py").read_text()
    assert f'@handler(ScheduledEvent, schedule="{words[2]}", retries=2, alert="pagerduty")' in written
    done = run_tests(shop)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_add_handler_takes_a_schedule_as_its_trigger(shop: Path, capfd: pytest.CaptureFixture[str]):
    capfd.readouterr()
    assert main(["add", "handler", "poll", "--schedule", "rate(5 minutes)", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["event"] is None
    assert main(["add", "handler", "again", "--schedule", "rate(5 minute)"]) == 1
    assert (
        "schedule 'rate(5 minute)': Parameter ScheduleExpression is not valid. 5 takes minutes"
        in capfd.readouterr().err
    )
    assert main(["add", "handler", "again", "--schedule", "rate(5 minutes)", "--filter", "{}"]) == 2
    assert not (shop / "handlers/again").exists()


def test_add_event_writes_one_class_and_touches_no_other_file(shop: Path, capfd: pytest.CaptureFixture[str]):
    before = {file: file.read_bytes() for file in shop.rglob("*") if file.is_file()}
    words = ["add", "event", "OrderPlaced", "--source", "shop", "--field", "order-id:str"]
    assert main(words) == 0
    assert 'source="shop", detail_type="Order Placed"' in (shop / "events/order_placed.py").read_text()
    assert {file: file.read_bytes() for file in before} == before
    assert main(words) == 1
    assert "is there already" in capfd.readouterr().err
    assert main(["add", "event", "OrderPaid"]) == 2
    assert "--source is missing" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("filter_json", "told"),
    [
        ('{"total": [{"numeric": [">", 3]}]}', "the filter matches the 1 sample"),
        ('{"total": [6]}', "the filter matches none of 1 sample: the sample made from the fields"),
    ],
)
def test_a_filter_is_tried_on_the_samples(shop: Path, filter_json: str, told: str, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "one", *NEW_EVENT, "--filter", filter_json]) == 0
    assert told in capfd.readouterr().err


def test_a_filter_is_tried_on_each_sample_that_the_project_has(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    more = shop / "handlers/one/events/large.json"
    more.parent.mkdir()
    sample = json.loads((shop / "handlers/one/sample.json").read_text())
    more.write_text(json.dumps({**sample, "detail": {"total": 5000}}))
    capfd.readouterr()
    words = ["add", "handler", "two", "--event", "OrderPlaced", "--filter", '{"total": [{"numeric": [">", 99]}]}']
    assert main(words) == 0
    assert "matches 1 of 2 samples: handlers/one/events/large.json" in capfd.readouterr().err


def test_a_teams_own_templates_come_first_and_may_be_further_ones(shop: Path, capfd: pytest.CaptureFixture[str]):
    own = shop / "_templates/handler"
    own.mkdir(parents=True)
    (own / "plain_handler.py.jinja").write_text("from busway import handler\n\n{{ event_import }}\n\nTEAM = 1\n")
    (own / "queue_handler.py.jinja").write_text("{{ decorator }}\n# queue\n")
    (own / "queue_test.py.jinja").write_text("# none\n")
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    assert "TEAM = 1" in (shop / "handlers/one/handler.py").read_text()
    assert main(["add", "handler", "two", "--event", "OrderPlaced", "--template", "queue"]) == 0
    assert "# queue" in (shop / "handlers/two/handler.py").read_text()
    (own / "plain_handler.py.jinja").write_text("{{ nonsense }}")
    assert main(["add", "handler", "three", "--event", "OrderPlaced"]) == 1
    told = capfd.readouterr().err
    assert "_templates/handler/plain_handler.py.jinja" in told and "nonsense" in told and "decorator" in told
    assert not (shop / "handlers/three").exists()


PYPROJECT = '[project]\nname = "monolith"\nversion = "1"\n'


def test_init_makes_a_project_of_a_repository_and_adds_only_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / ".gitignore").write_text("dist/")
    (tmp_path / "README.md").write_text("ours")
    assert main(["init"]) == 0
    assert (tmp_path / "pyproject.toml").read_text().startswith(PYPROJECT)
    assert (tmp_path / ".gitignore").read_text() == "dist/\n.busway/\n"
    assert (tmp_path / "README.md").read_text() == "ours"
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    assert run_tests(tmp_path).returncode == 0
    capfd.readouterr()
    assert main(["init"]) == 1
    assert "there already" in capfd.readouterr().err


def test_init_in_a_folder_without_a_pyproject_writes_a_whole_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "my_shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "main.go").write_text("package main")
    assert main(["init", "--bus", "orders"]) == 0
    assert '[tool.busway]\nbus = "orders"' in (folder / "pyproject.toml").read_text()
    assert main(["add", "event", "OrderPlaced", "--source", "shop"]) == 0


OWN_TEST = "def test_of_the_repository():\n    pass\n"


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("pyproject.toml", ""),
        ("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["spec"]\n'),
        ("pytest.ini", "[pytest]\ntestpaths = spec\n"),
        ("setup.cfg", "[tool:pytest]\ntestpaths = spec\n"),
    ],
)
def test_the_tests_of_a_repository_that_was_there_run_as_before_and_by_busway_test(
    file: str, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text(settings)
    for folder in ("spec", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"test_{folder}.py").write_text(OWN_TEST)
    assert main(["init"]) == 0
    plain = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ("1 passed" if settings else "2 passed") in plain.stdout, plain.stdout
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    done = run_tests(tmp_path)
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout


def test_busway_test_runs_what_lies_in_tests_too(shop: Path):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    (shop / "tests").mkdir()
    (shop / "tests/test_whole.py").write_text(OWN_TEST)
    # As projects of before say.
    settings = shop / "pyproject.toml"
    assert '["handlers", "rules", "tests"]' in settings.read_text()
    settings.write_text(settings.read_text().replace(', "tests"]', "]"))
    done = run_tests(shop)
    assert "4 passed" in done.stdout, done.stdout
    command = [sys.executable, "-m", "busway", "test", "tests/test_whole.py"]
    one = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert "1 passed" in one.stdout, one.stdout


@pytest.mark.parametrize("there", ["events", "handlers"])
def test_init_leaves_alone_a_repository_whose_folders_have_the_names(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / there).mkdir()
    assert main(["init"]) == 1
    assert "busway new" in capfd.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [there]


def test_templates_update_names_what_it_wrote_and_what_it_left(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "one", *NEW_EVENT]) == 0
    assert main(["add", "handler", "two", "--event", "OrderPlaced"]) == 0
    assert main(["templates", "update"]) == 0
    assert "0 written, 7 up to date, 0 yours" in capfd.readouterr().err
    own = shop / "_templates/handler/plain_handler.py.jinja"
    own.parent.mkdir(parents=True)
    own.write_text(
        "from busway import handler\n\n{{ event_import }}\n\n\n{{ decorator }}\n{{ signature }}\n    return\n"
    )
    (shop / "handlers/two/handler.py").write_text("# mine\n")
    assert main(["templates", "update", "--check"]) == 1
    told = capfd.readouterr()
    assert "updated handlers/one/handler.py\n" in told.out and "1 to write" in told.err
    assert "yours   handlers/two/handler.py: changed\n" in told.out
    assert "    return\n" not in (shop / "handlers/one/handler.py").read_text()
    assert main(["templates", "update", "one", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["updated"], told["yours"]) == (1, 0)
    assert "    return\n" in (shop / "handlers/one/handler.py").read_text()
    assert main(["templates", "update", "--check"]) == 0
    (shop / "events/order_placed.py").unlink()
    capfd.readouterr()
    assert main(["templates", "update"]) == 1
    told = capfd.readouterr()
    assert "failed  handlers/one/.generated.json: the event OrderPlaced is gone" in told.out
    assert "2 failed" in told.err
    assert main(["templates", "update", "three"]) == 1
    assert "'three' was not generated, as far as is known; there is one, two" in capfd.readouterr().err
    (shop / "handlers/one/.generated.json").write_text("{")
    assert main(["templates", "update"]) == 1
    assert "hint: it is the generator's own: take it back from git" in capfd.readouterr().err


def test_a_filter_that_matches_no_sample_says_which_field_misses(shop: Path, capfd: pytest.CaptureFixture[str]):
    words = ["add", "handler", "large", "--event", "Paid", "--source", "shop", "--detail-type", "Paid"]
    words += ["--field", "total:float=3.5", "--field", "net:decimal=9.99"]
    assert main(words) == 0
    only = '{"total": [{"numeric": [">", 5]}]}'
    assert main(["add", "handler", "larger", "--event", "Paid", "--filter", only]) == 0
    assert "detail.total is 3.5, wanted a number > 5" in capfd.readouterr().err
    for only in ('{"net": [{"numeric": [">", 5]}]}', '{"$or": [{"net": [9.99]}, {"total": [1]}]}'):
        assert main(["add", "handler", "net", "--event", "Paid", "--filter", only]) == 0
        said = capfd.readouterr().err
        assert "detail.net: a decimal travels as text, and numeric matches numbers: use float or int" in said
        shutil.rmtree(shop / "handlers/net")


def test_a_filter_on_a_field_that_the_event_does_not_have_is_refused(shop: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["add", "handler", "one", *NEW_EVENT, "--filter", '{"totl": [5]}']) == 1
    assert "no field 'totl'; did you mean total?" in capfd.readouterr().err
    assert not (shop / "handlers/one").exists()


def test_in_a_project_of_two_languages_the_flag_is_named_where_nobody_can_be_asked(
    shop: Path, capfd: pytest.CaptureFixture[str]
):
    assert main(["init", "--language", "typescript"]) == 0
    assert main(["add", "event", "Paid", "--source", "shop"]) == 2
    assert "--language is missing" in capfd.readouterr().err
    assert main(["add", "event", "Paid", "--source", "shop", "--language", "python"]) == 0
