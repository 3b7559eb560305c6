"""What a JavaScript or TypeScript function asks for, from its files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from busway.errors import BuildFailed
from busway.function.build.node import code_digest, packages_of, shipped_files, typescript_of

MAJOR = 22


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def package(**members: object) -> str:
    return json.dumps({"name": "shop", **members})


@pytest.mark.parametrize("members", [{}, {"dependencies": {}}, {"devDependencies": {"typescript": "5"}}])
def test_a_package_without_dependencies_asks_for_nothing(members: dict[str, object], tmp_path: Path):
    assert packages_of(write(tmp_path, package__json=package(**members)), MAJOR) is None


def test_code_that_carries_its_modules_asks_for_nothing(tmp_path: Path):
    write(tmp_path, package__json=package(dependencies={"ms": "2"}))
    (tmp_path / "node_modules").mkdir()
    assert packages_of(tmp_path, MAJOR) is None


def test_packages_are_the_same_by_what_is_installed_and_not_by_the_project_s_name(tmp_path: Path):
    one = packages_of(write(tmp_path / "a", package__json=package(dependencies={"ms": "2"}, name="a")), MAJOR)
    two = packages_of(
        write(tmp_path / "b", package__json=package(dependencies={"ms": "2"}, scripts={"x": "y"})), MAJOR
    )
    three = packages_of(write(tmp_path / "c", package__json=package(dependencies={"ms": "3"})), MAJOR)
    assert one is not None
    assert two is not None
    assert three is not None
    assert one == two
    assert one.digest != three.digest
    assert not one.locked


def test_a_lock_file_is_what_is_installed(tmp_path: Path):
    write(tmp_path, package__json=package(dependencies={"ms": "2"}), package_lock__json="{}")
    (tmp_path / "package_lock.json").rename(tmp_path / "package-lock.json")
    found = packages_of(tmp_path, MAJOR)
    assert found is not None
    assert found.locked
    assert [name for name, _ in found.files] == ["package.json", "package-lock.json"]


def test_no_script_of_the_package_is_handed_on(tmp_path: Path):
    write(tmp_path, package__json=package(dependencies={"ms": "2"}, scripts={"postinstall": "rm -rf /"}))
    found = packages_of(tmp_path, MAJOR)
    assert found is not None
    assert b"scripts" not in found.files[0][1]


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_package_file_that_is_none_is_refused(text: str, tmp_path: Path):
    with pytest.raises(BuildFailed, match=r"package\.json"):
        packages_of(write(tmp_path, package__json=text), MAJOR)


@pytest.mark.parametrize("place", ["file:/srv/x", "link:../x", "../x", "/x", "~/x", "./x.tgz", "vendor/x.tgz"])
def test_a_package_that_is_a_file_is_refused(place: str, tmp_path: Path):
    with pytest.raises(BuildFailed, match=r"package\.json: ms is '.*', a file"):
        packages_of(write(tmp_path, package__json=package(dependencies={"ms": place})), MAJOR)


@pytest.mark.parametrize("place", ["~2.0", "^2", "https://example.com/x.tgz", "owner/name", "npm:ms@2", "latest"])
def test_a_package_from_elsewhere_is_installed(place: str, tmp_path: Path):
    write(tmp_path, package__json=package(dependencies={"ms": place}))
    assert packages_of(tmp_path, MAJOR) is not None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (".npmrc", "a=b\n//host/:_authToken=${TOKEN}", r"\.npmrc, line 2: asks for a variable"),
        ("package-lock.json", '{"packages": {"x": {"resolved": "file:../x"}}}', "names a file"),
        ("package-lock.json", '{"packages": {"x": {"resolved": "x", "link": true}}}', "names a file"),
    ],
)
def test_files_of_npm_that_lead_out_of_the_code_are_refused(name: str, text: str, said: str, tmp_path: Path):
    write(tmp_path, package__json=package(dependencies={"ms": "2"}))
    (tmp_path / name).write_text(text)
    with pytest.raises(BuildFailed, match=said):
        packages_of(tmp_path, MAJOR)


@pytest.mark.parametrize("ending", ["ts", "mts", "cts", "tsx"])
def test_a_handler_in_typescript_is_found(ending: str, tmp_path: Path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / f"send.{ending}").write_text("")
    assert typescript_of(tmp_path, "src/send.handler") == tmp_path / "src" / f"send.{ending}"


@pytest.mark.parametrize("ending", ["js", "mjs", "cjs"])
def test_javascript_comes_before_typescript(ending: str, tmp_path: Path):
    write(tmp_path, send__ts="")
    (tmp_path / f"send.{ending}").write_text("")
    assert typescript_of(tmp_path, "send.handler") is None


@pytest.mark.parametrize("handler", ["../send.handler", "other.handler", "send", ""])
def test_a_handler_that_is_not_there_is_nothing_to_bundle(handler: str, tmp_path: Path):
    folder = write(tmp_path / "code", index__ts="")
    write(tmp_path, send__ts="")
    assert typescript_of(folder, handler) is None


def test_code_is_another_one_when_a_file_or_what_npm_installed_changes(tmp_path: Path):
    write(tmp_path, handler__ts="1")
    (tmp_path / "node_modules").mkdir()
    seen = [code_digest(tmp_path), code_digest(tmp_path, "other")]
    (tmp_path / "handler.ts").write_text("22")
    seen.append(code_digest(tmp_path))
    (tmp_path / "node_modules" / ".package-lock.json").write_text("{}")
    seen.append(code_digest(tmp_path))
    assert len(set(seen)) == 4
    (tmp_path / "node_modules" / "anything").write_text("x")
    assert code_digest(tmp_path) == seen[-1]


def test_hidden_files_and_installed_packages_are_not_copied(tmp_path: Path):
    write(tmp_path, a__js="")
    for folder in (".git", "node_modules", "src"):
        write(tmp_path / folder, b__js="")
    (tmp_path / "link.js").symlink_to(tmp_path / "a.js")
    assert [str(path.relative_to(tmp_path)) for path in shipped_files(tmp_path)] == ["a.js", "src/b.js"]
