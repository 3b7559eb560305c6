from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from busway.clock import ManualClock
from busway.engine.memory import MemoryEngine
from busway.errors import (
    FunctionAliasNotFound,
    FunctionConflict,
    FunctionNotFound,
    InvalidFunction,
    RevisionMismatch,
)
from busway.function.definitions.attached import EventInvokeChange
from busway.function.definitions.code_store import Folder
from busway.function.definitions.registry import Configuration

from .shelf_room import ARN, PYTHON, ShelfRoom


@pytest.fixture
async def room(clock: ManualClock, tmp_path: Path) -> ShelfRoom:
    return await ShelfRoom(MemoryEngine(clock), clock, tmp_path / "code").open()


async def test_a_version_keeps_code_and_configuration_of_its_moment(room: ShelfRoom):
    await room.create("a = 1")
    first = await room.versions.publish(ARN, description="the first")
    await room.update("a = 2")
    await room.registry.update_configuration(ARN, Configuration(timeout_s=9))
    second = await room.versions.publish(ARN)
    assert (first.version, first.timeout_s, first.description, room.source("1")) == ("1", 3, "the first", "a = 1")
    assert (second.version, second.timeout_s, room.source("2"), room.source()) == ("2", 9, "a = 2", "a = 2")
    assert [record.version for record in room.versions.of(ARN)] == ["$LATEST", "1", "2"]


async def test_publishing_what_did_not_change_gives_the_version_there_is(room: ShelfRoom):
    await room.create("a = 1", publish=True)
    assert (await room.versions.publish(ARN, description="again")).version == "1"
    await room.update("a = 2")
    await room.update("a = 1")
    assert (await room.versions.publish(ARN)).version == "1"
    await room.registry.update_configuration(ARN, Configuration(environment={"A": "1"}))
    assert (await room.versions.publish(ARN)).version == "2"


async def test_create_and_update_can_publish(room: ShelfRoom):
    assert (await room.create("a = 1", publish=True)).version == "1"
    assert (await room.update("a = 2", publish=True)).version == "2"
    assert (room.source("1"), room.source("2")) == ("a = 1", "a = 2")


async def test_a_number_is_not_used_twice(room: ShelfRoom):
    await room.create("a = 1", publish=True)
    await room.versions.delete(ARN, "1")
    await room.versions.delete(ARN, "1")
    assert (await room.versions.publish(ARN)).version == "2"


async def test_publishing_can_insist_on_a_revision_and_on_a_digest(room: ShelfRoom):
    created = await room.create()
    with pytest.raises(InvalidFunction, match=r"CodeSHA256 \(no\) is different from current CodeSHA256 in \$LATEST"):
        await room.versions.publish(ARN, code_sha256="no")
    with pytest.raises(RevisionMismatch):
        await room.versions.publish(ARN, revision="no")
    assert (
        await room.versions.publish(ARN, code_sha256=created.code_sha256, revision=created.revision)
    ).version == "1"


async def test_an_alias_names_a_version_and_can_be_moved(room: ShelfRoom):
    await room.create("a = 1", publish=True)
    await room.update("a = 2", publish=True)
    alias = await room.aliases.create(ARN, "live", "1", "d")
    assert room.source("live") == "a = 1"
    moved = await room.aliases.update(ARN, "live", version="2", description=None, revision=alias.revision)
    assert (room.source("live"), moved.description) == ("a = 2", "d")
    with pytest.raises(RevisionMismatch):
        await room.aliases.update(ARN, "live", version="1", description=None, revision=alias.revision)
    await room.aliases.update(ARN, "live", version="$LATEST", description="e", revision=None)
    await room.update("a = 3")
    assert room.source("live") == "a = 3"


async def test_what_aliases_refuse(room: ShelfRoom):
    await room.create("a = 1", publish=True)
    await room.aliases.create(ARN, "live", "1", "")
    with pytest.raises(FunctionConflict, match=f"Alias already exists: {ARN}:live"):
        await room.aliases.create(ARN, "live", "1", "")
    with pytest.raises(FunctionNotFound, match=f"Function not found: {ARN}:7"):
        await room.aliases.create(ARN, "other", "7", "")
    with pytest.raises(InvalidFunction):
        await room.aliases.create(ARN, "7", "1", "")
    with pytest.raises(FunctionAliasNotFound, match=f"Cannot find alias arn: {ARN}:other"):
        room.aliases.need(ARN, "other")
    with pytest.raises(FunctionNotFound, match=f"Function not found: {ARN}:other"):
        room.books.resolve(ARN, "other")


async def test_a_version_that_an_alias_names_is_not_deleted(room: ShelfRoom):
    await room.create("a = 1", publish=True)
    await room.aliases.create(ARN, "live", "1", "")
    with pytest.raises(FunctionConflict, match="alias live points to it"):
        await room.versions.delete(ARN, "1")
    await room.aliases.delete(ARN, "live")
    await room.versions.delete(ARN, "1")
    with pytest.raises(FunctionNotFound):
        room.books.resolve(ARN, "1")
    with pytest.raises(InvalidFunction, match="cannot be deleted without deleting the function"):
        await room.versions.delete(ARN, "$LATEST")


async def test_what_hangs_on_an_alias_goes_with_it(room: ShelfRoom):
    await room.create("a = 1", publish=True)
    await room.aliases.create(ARN, "live", "1", "")
    await room.attached.put_event_invoke(ARN, EventInvokeChange(retries_max=0), merge=False, qualifier="live")
    await room.attached.add_statement(ARN, {"Sid": "s"}, qualifier="live")
    await room.urls.create(ARN, "live", "NONE", None)
    assert room.attached.event_invoke_of(ARN, "1") is None
    await room.aliases.delete(ARN, "live")
    await room.aliases.create(ARN, "live", "1", "")
    assert room.attached.event_invoke_of(ARN, "live") is None
    assert room.books.policies.of(ARN) == {} and room.urls.of(ARN) == []


async def test_a_deleted_function_takes_everything_along_also_when_the_server_ends_half_way(
    clock: ManualClock, tmp_path: Path
):
    engine = MemoryEngine(clock)
    room = await ShelfRoom(engine, clock, tmp_path).open()
    await room.create("a = 1", publish=True)
    await room.aliases.create(ARN, "live", "1", "")
    await engine.records.delete(f"function/{ARN}")
    again = await ShelfRoom(engine, clock, tmp_path).open()
    await again.create("a = 2")
    assert [record.version for record in again.versions.of(ARN)] == ["$LATEST"]
    assert again.aliases.of(ARN) == []
    assert await engine.records.list("function-") == []


async def test_code_of_a_version_stays_after_a_restart_and_other_code_goes(clock: ManualClock, tmp_path: Path):
    engine = MemoryEngine(clock)
    room = await ShelfRoom(engine, clock, tmp_path).open()
    await room.create("a = 1", publish=True)
    await room.update("a = 2")
    await room.update("a = 3")
    again = await ShelfRoom(engine, clock, tmp_path).open()
    assert (again.source("1"), again.source()) == ("a = 1", "a = 3")
    assert len([path for path in (tmp_path / "f").iterdir() if not path.name.startswith(".")]) == 2


async def test_a_version_of_a_folder_does_not_change_with_the_folder(room: ShelfRoom, tmp_path: Path):
    code = tmp_path / "live"
    code.mkdir()
    (code / "app.py").write_text("a = 1")
    await room.registry.create(ARN, Folder(str(code)), PYTHON)
    await room.versions.publish(ARN)
    assert (await room.versions.publish(ARN)).version == "1"
    (code / "app.py").write_text("a = 2")
    assert (room.source("1"), room.source()) == ("a = 1", "a = 2")
    assert (await room.versions.publish(ARN)).version == "2"


class Deployments(RuleBasedStateMachine):
    """Whatever is deployed, and whenever the server ends: the same runs as in a plain dictionary."""

    names = st.sampled_from(["live", "test"])
    numbers = st.integers(1, 4).map(str)
    published = Bundle("published")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        clock = ManualClock()
        self.engine, self.clock = MemoryEngine(clock), clock

    @initialize()
    def begin(self) -> None:
        self.room = self.do(ShelfRoom(self.engine, self.clock, self.folder).open())
        self.do(self.room.create("0"))
        self.code, self.versions, self.aliases, self.next = "0", dict[str, str](), dict[str, str](), 1

    def do(self, work):
        return self.loop.run_until_complete(work)

    def refused(self, work) -> bool:
        try:
            self.do(work)
        except (FunctionConflict, FunctionNotFound, FunctionAliasNotFound):
            return True
        return False

    @rule(code=st.sampled_from("0123"))
    def update(self, code: str) -> None:
        self.do(self.room.update(code))
        self.code = code

    @rule()
    def publish(self) -> None:
        found = self.do(self.room.versions.publish(ARN)).version
        newest = max(self.versions, key=int, default="")
        if newest and self.versions[newest] == self.code:
            assert found == newest
        else:
            assert found == str(self.next)
            self.versions[found] = self.code
            self.next += 1

    @rule(name=names, number=numbers)
    def create_alias(self, name: str, number: str) -> None:
        wrong = name in self.aliases or number not in self.versions
        assert self.refused(self.room.aliases.create(ARN, name, number, "")) == wrong
        if not wrong:
            self.aliases[name] = number

    @rule(name=names, number=numbers)
    def move_alias(self, name: str, number: str) -> None:
        wrong = name not in self.aliases or number not in self.versions
        work = self.room.aliases.update(ARN, name, version=number, description=None, revision=None)
        assert self.refused(work) == wrong
        if not wrong:
            self.aliases[name] = number

    @rule(name=names)
    def delete_alias(self, name: str) -> None:
        self.do(self.room.aliases.delete(ARN, name))
        self.aliases.pop(name, None)

    @rule(number=numbers)
    def delete_version(self, number: str) -> None:
        assert self.refused(self.room.versions.delete(ARN, number)) == (number in self.aliases.values())
        if number not in self.aliases.values():
            self.versions.pop(number, None)

    @rule()
    def restart(self) -> None:
        self.room = self.do(ShelfRoom(self.engine, self.clock, self.folder).open())

    @invariant()
    def the_same_runs(self) -> None:
        if not hasattr(self, "room"):
            return
        runs = {number: self.room.source(number) for number in self.versions}
        assert runs == self.versions and self.room.source() == self.code
        assert {name: self.room.source(name) for name in self.aliases} == {
            name: self.versions[number] for name, number in self.aliases.items()
        }

    def teardown(self) -> None:
        self.loop.close()
        shutil.rmtree(self.folder)


TestDeployments = Deployments.TestCase
TestDeployments.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
