"""What a zip may not do: nothing of a refused one is left on disk."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from busway.engine.embedded.disk import sync_tree
from busway.errors import InvalidPackage
from busway.function.definitions import package
from busway.function.definitions.package import code_sha256, unpack


def zipped(files: dict[str, bytes], *, modes: dict[str, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def refused(data: bytes, folder: Path) -> str:
    with pytest.raises(InvalidPackage) as caught:
        unpack(data, folder / "code", folder / "scratch", sync_tree)
    assert list(folder.iterdir()) == []
    assert str(caught.value).startswith("Could not unzip uploaded file.")
    return caught.value.reason


def test_files_folders_and_the_right_to_run_are_unpacked(tmp_path: Path):
    data = zipped(
        {"app.py": b"x = 1", "lib/": b"", "lib/tool": b"#!"},
        modes={"lib/": stat.S_IFDIR | 0o755, "lib/tool": stat.S_IFREG | 0o4755},
    )
    unpack(data, tmp_path / "code", tmp_path / "scratch", sync_tree)
    assert (tmp_path / "code/app.py").read_bytes() == b"x = 1"
    assert stat.S_IMODE((tmp_path / "code/lib/tool").stat().st_mode) == 0o755
    assert not (tmp_path / "scratch").exists()


def test_the_same_code_twice_is_kept_once(tmp_path: Path):
    data = zipped({"app.py": b"x = 1"})
    for _ in range(2):
        unpack(data, tmp_path / "code", tmp_path / "scratch", sync_tree)
    assert [p.name for p in tmp_path.iterdir()] == ["code"]


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "a//b", "./a", "a\\..\\b", "..", "x" * 300, "a/" * 600 + "b"],
)
def test_a_path_that_reaches_outside_or_is_none_is_refused(name: str, tmp_path: Path):
    refused(zipped({"app.py": b"", name: b"evil"}), tmp_path)


def test_a_name_with_nul_is_refused(tmp_path: Path):
    data = zipped({"app.pyXevil": b"x"}).replace(b"app.pyXevil", b"app.py\0evil")
    assert "no relative path" in refused(data, tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
def test_what_is_no_plain_file_is_refused(kind: int, tmp_path: Path):
    reason = refused(zipped({"link": b"/etc/passwd"}, modes={"link": kind | 0o777}), tmp_path)
    assert "no plain file" in reason


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("app.py", "app.py"), ("app.py", "APP.py"), ("straße", "STRASSE")])
def test_two_entries_for_one_file_are_refused(names: tuple[str, str], tmp_path: Path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    assert "is there twice" in refused(buffer.getvalue(), tmp_path)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path):
    refused(zipped({"a": b"file", "a/b": b"inside it"}), tmp_path)


def test_an_encrypted_entry_is_refused(tmp_path: Path):
    data = bytearray(zipped({"app.py": b"secret"}))
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, directory + 8, 1)
    assert "encrypted" in refused(bytes(data), tmp_path)


def test_a_checksum_that_does_not_fit_is_refused(tmp_path: Path):
    data = bytearray(zipped({"app.py": b"x" * 100}))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 16, 12345)
    assert "broken" in refused(bytes(data), tmp_path)


def test_a_bomb_is_refused_by_the_bytes_it_really_makes(tmp_path: Path):
    bomb = bytearray(zipped({"zeros": bytes(20 * 1024 * 1024)}))
    # It says that it holds one byte only.
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", bomb, bomb.index(mark) + offset, 1)
    refused(bytes(bomb), tmp_path)
    assert "larger than" in refused(zipped({"zeros": bytes(20 * 1024 * 1024)}), tmp_path)


def test_a_package_that_says_it_is_too_large_is_refused_before_a_byte_is_written(tmp_path: Path):
    data = bytearray(zipped({"app.py": b"x"}))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, package.UNPACKED_BYTES_MAX + 1)
    assert "larger than" in refused(bytes(data), tmp_path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(package, "FILES_MAX", 5)
    assert "7 files" in refused(zipped({f"f{n}": b"" for n in range(7)}), tmp_path)
    refused(zipped({f"f{n}": b"" for n in range(60)}), tmp_path)


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18), zipped({"folder/": b""})])
def test_what_holds_no_file_is_refused(data: bytes, tmp_path: Path):
    refused(data, tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_damaged_zip_is_unpacked_inside_its_folder_or_refused(at: int, byte: int, cut: int, tmp_path: Path):
    data = bytearray(zipped({"app.py": b"print(1)\n" * 9, "lib/tool.py": b"y = 2"}))
    data[at % len(data)] = byte
    damaged = bytes(data[: len(data) - cut % 3])
    home = tmp_path / f"{at}-{byte}-{cut}"
    home.mkdir(exist_ok=True)
    try:
        unpack(damaged, home / "code", home / "scratch", sync_tree)
    except InvalidPackage:
        pass
    assert {p.name for p in home.iterdir()} <= {"code"}


def test_the_digest_is_aws_s():
    assert code_sha256(b"") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_code_is_durable_before_it_has_its_name_and_the_name_before_the_answer(tmp_path: Path):
    synced: list[tuple[str, bool]] = []
    target = tmp_path / "code"
    unpack(
        zipped({"app.py": b"x = 1\n"}),
        target,
        tmp_path / "scratch",
        lambda f: synced.append((f.name, target.is_dir())),
    )
    assert synced == [("scratch", False), ("code", True)]
