"""The store of secrets: what is kept is sealed, what is asked for is what was put."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, SystemEntropy
from busway.engine.memory import MemoryEngine
from busway.errors import (
    BadSecretKey,
    InvalidSecret,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretUnreadable,
    SecretValueNotFound,
)
from busway.secret.key import SealingKey
from busway.secret.reference import named_in, names_in, reference, secret_name
from busway.secret.seal import KEY_BYTES, NONCE_BYTES, seal, unseal
from busway.secret.secrets import DAY_S, Secrets

SCOPE, OTHER = Scope(), Scope("123456789012", "eu-west-1")
KEY, NONCE = b"k" * KEY_BYTES, b"n" * NONCE_BYTES


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


@pytest.fixture
def engine(clock: ManualClock) -> MemoryEngine:
    return MemoryEngine(clock)


@pytest.fixture
def secrets(engine: MemoryEngine, clock: ManualClock) -> Secrets:
    return Secrets(engine, clock, SeededEntropy(1), lambda: KEY)


@given(value=st.binary(max_size=200), place=st.text(max_size=30), key=st.binary(min_size=32, max_size=32))
def test_what_is_sealed_opens_with_its_key_at_its_place_and_in_no_other_way(value: bytes, place: str, key: bytes):
    sealed = seal(key, NONCE, value, place)
    assert unseal(key, sealed, place) == value
    changed = [
        *(sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in (0, len(sealed) - 1)),
        sealed[:-1],
        b"",
    ]
    other_key = bytes([key[0] ^ 1]) + key[1:]
    for wrong in ((other_key, sealed, place), (key, sealed, place + "x"), *((key, text, place) for text in changed)):
        with pytest.raises(SecretUnreadable):
            unseal(*wrong)


async def test_nothing_that_is_kept_holds_a_value(engine: MemoryEngine, secrets: Secrets):
    await secrets.create(SCOPE, "shop/KEY", "hunter2-first")
    await secrets.put(SCOPE, "shop/KEY", "hunter2-second")
    kept = [value.data for value in await engine.records.list("")]
    assert len(kept) == 1
    assert b"hunter2" not in kept[0]
    assert base64.b64encode(b"hunter2")[:8] not in kept[0]


async def test_the_present_value_is_the_newest_and_the_one_before_it_has_a_name(secrets: Secrets):
    made = await secrets.create(SCOPE, "a", "one")
    await secrets.put(SCOPE, made.arn, "two")
    for asked in ("a", made.arn, made.arn[:-7]):
        record, _, value = secrets.value(SCOPE, asked)
        assert (record.name, value) == ("a", "two")
    assert secrets.value(SCOPE, "a", stage="AWSPREVIOUS")[2] == "one"
    assert made.current is not None
    assert secrets.value(SCOPE, "a", made.current.id)[2] == "one"
    with pytest.raises(SecretValueNotFound, match="VersionId: none-such"):
        secrets.value(SCOPE, "a", "none-such")
    with pytest.raises(SecretValueNotFound, match="staging label: AWSPENDING"):
        secrets.value(SCOPE, "a", stage="AWSPENDING")


async def test_what_a_restart_finds_is_what_was_there(engine: MemoryEngine, secrets: Secrets, clock: ManualClock):
    await secrets.create(SCOPE, "text", "größer", description="d", tags={"a": "b"})
    await secrets.create(SCOPE, "bytes", b"\x00\xff")
    await secrets.create(SCOPE, "empty", None)
    again = Secrets(engine, clock, SystemEntropy(), lambda: KEY)
    await again.open()
    assert again.of_scope(SCOPE) == secrets.of_scope(SCOPE)
    assert (again.value(SCOPE, "text")[2], again.value(SCOPE, "bytes")[2]) == ("größer", b"\x00\xff")
    with pytest.raises(SecretValueNotFound, match="staging label: AWSCURRENT"):
        again.value(SCOPE, "empty")
    strange = Secrets(engine, clock, SystemEntropy(), lambda: b"x" * KEY_BYTES)
    await strange.open()
    with pytest.raises(SecretUnreadable, match=r"secret:text-.*sealed with another key"):
        strange.value(SCOPE, "text")


async def test_a_name_is_one_secret_of_one_account_and_region(secrets: Secrets):
    await secrets.create(SCOPE, "a", "one", version_id="v" * 32)
    with pytest.raises(SecretExists, match="the secret a already exists"):
        await secrets.create(SCOPE, "a", "one")
    same = await secrets.create(SCOPE, "a", "one", version_id="v" * 32)
    assert same == secrets.need(SCOPE, "a")
    with pytest.raises(SecretExists):
        await secrets.create(SCOPE, "a", "two", version_id="v" * 32)
    await secrets.create(OTHER, "a", "other")
    assert (secrets.text(SCOPE, "a"), secrets.text(OTHER, "a")) == ("one", "other")
    assert len(secrets.of_scope(SCOPE)) == 1


async def test_the_same_request_again_makes_no_second_version(secrets: Secrets):
    await secrets.create(SCOPE, "a", "one")
    first = await secrets.put(SCOPE, "a", "two", "t" * 32)
    assert await secrets.put(SCOPE, "a", "two", "t" * 32) == first
    with pytest.raises(SecretExists, match="already in use for a version"):
        await secrets.put(SCOPE, "a", "three", "t" * 32)


async def test_a_secret_that_is_marked_for_deletion_comes_back_or_goes(secrets: Secrets, clock: ManualClock):
    await secrets.create(SCOPE, "a", "one")
    await secrets.delete(SCOPE, "a", 7)
    for refused in (lambda: secrets.value(SCOPE, "a"),):
        with pytest.raises(SecretDeleted, match="marked for deletion"):
            refused()
    with pytest.raises(SecretDeleted):
        await secrets.put(SCOPE, "a", "two")
    with pytest.raises(SecretExists, match="already scheduled for deletion"):
        await secrets.create(SCOPE, "a", "two")
    await secrets.restore(SCOPE, "a")
    assert secrets.text(SCOPE, "a") == "one"
    await secrets.delete(SCOPE, "a", 7)
    await clock.advance(7 * DAY_S)
    with pytest.raises(SecretNotFound):
        secrets.need(SCOPE, "a")
    await secrets.create(SCOPE, "a", "new")
    assert secrets.text(SCOPE, "a") == "new"
    await secrets.delete(SCOPE, "a", 0)
    with pytest.raises(SecretNotFound):
        await secrets.delete(SCOPE, "a", 0)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "x" * 513])
async def test_a_name_that_none_may_have_is_refused(secrets: Secrets, name: str):
    with pytest.raises(InvalidSecret, match="Invalid name"):
        await secrets.create(SCOPE, name, "x")


@pytest.mark.parametrize("value", ["", b"", "x" * 65_537, "ä" * 32_769])
async def test_a_value_of_no_bytes_or_too_many_is_refused(secrets: Secrets, value: str | bytes):
    with pytest.raises(InvalidSecret, match="wanted 1 to 65536") as caught:
        await secrets.create(SCOPE, "a", value)
    assert "xx" not in str(caught.value)


@pytest.mark.parametrize("value", [b"bytes", "a\0b"])
async def test_what_no_variable_can_hold_is_no_value_for_one(secrets: Secrets, value: str | bytes):
    await secrets.create(SCOPE, "a", value)
    with pytest.raises(InvalidSecret, match="wanted text for a variable"):
        secrets.text(SCOPE, "a")


async def test_who_uses_a_secret_hears_of_every_change(secrets: Secrets):
    heard: list[str] = []
    secrets.on_change = lambda scope, name: heard.append(name)
    await secrets.create(SCOPE, "a", "one")
    await secrets.put(SCOPE, "a", "two")
    await secrets.delete(SCOPE, "a", 0)
    assert heard == ["a", "a", "a"]


# --- the key ---


def key_in(folder: Path, setting: str = "") -> SealingKey:
    return SealingKey(setting, folder, SystemEntropy(), lambda _: None)


def test_a_key_of_the_data_folder_is_made_once_and_for_its_owner_alone(tmp_path: Path):
    folder = tmp_path / "secrets"
    made = key_in(folder)()
    assert len(made) == KEY_BYTES
    assert key_in(folder)() == made
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == ["key"]


def test_a_key_that_was_half_written_when_the_server_died_is_not_taken(tmp_path: Path):
    (tmp_path / "key.new").write_text("half")
    assert len(key_in(tmp_path)()) == KEY_BYTES
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_key_that_is_given_is_written_nowhere(tmp_path: Path):
    given_key = b"g" * KEY_BYTES
    assert key_in(tmp_path / "secrets", base64.b64encode(given_key).decode())() == given_key
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("text", ["short", "not base64 ÄÖ", base64.b64encode(b"x" * 31).decode(), "=" * 44])
def test_what_is_no_key_is_told_and_not_shown(tmp_path: Path, text: str):
    with pytest.raises(BadSecretKey, match="BUSWAY_SECRET_KEY is no key; wanted 32 bytes in base64") as caught:
        key_in(tmp_path, text)
    assert text not in str(caught.value)
    (tmp_path / "key").write_text(text)
    with pytest.raises(BadSecretKey, match=r"/key is no key"):
        key_in(tmp_path)()


# --- references ---


def test_a_variable_stands_for_a_secret_or_for_itself():
    name = secret_name("shop", "STRIPE_KEY")
    assert named_in(reference(name)) == name == "shop/STRIPE_KEY"
    assert named_in("{{resolve:secretsmanager:a:SecretString}}") == "a"
    for plain in (
        "",
        "a",
        f"x{reference(name)}",
        f"{reference(name)}\n",
        "{{resolve:ssm:a}}",
        "{{resolve:secretsmanager:}}",
    ):
        assert named_in(plain) is None
    assert list(names_in({"A": reference("a"), "B": "b"})) == ["a"]
