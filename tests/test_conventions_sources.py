"""Rules of the user's own files: a folder, or a git repository at two commits. Bad input is one line."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import pytest

from memory_bench.errors import BadInput
from tasks.conventions.__main__ import main
from tasks.conventions.commits import read_commit
from tasks.conventions.rules import Mined, mine_tree
from tasks.conventions.sourced import mine_source
from tasks.conventions.sources import Source
from tasks.conventions.trees import read_tree
from tests.conventions import FILES, conventions, events, questions, write_package


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    run = subprocess.run(["git", "-C", str(root), *who, *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def commit(root: Path) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A repository at two commits: in between `register` moved to another module, and a default changed."""
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q")
    write_package(root, "acme")
    old = commit(root)
    for path in (root / "acme").rglob("m*.py"):
        text = path.read_text()
        path.write_text(text.replace("acme.core.registry", "acme.core.store").replace("OFF", "DARK"))
    return root, old, commit(root)


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_package(root, "acme")
    return root


def said(mined: Mined) -> dict[tuple[str, str, str], str]:
    return {(rule.kind, rule.subject, rule.scope): rule.value for rule in mined.rules}


def test_a_folder_gives_the_rules_that_its_package_gives(acme: Path) -> None:
    mined = mine_tree(str(acme), ("home", "alias"))
    assert said(mined) == {
        ("home", "register", ""): "acme.core.registry",
        ("home", "Any", ""): "typing",
        ("alias", "import acme.core.geometry", ""): "geo",
    }
    (home,) = [rule for rule in mined.rules if rule.subject == "register"]
    assert home.prior == "acme"
    assert len(home.seen) + len(home.held_out) == 2 * FILES
    assert {place.source.path.split("/")[0] for place in home.seen} == {"acme"}
    assert mined.left_out == {}


def test_a_folder_that_is_a_package_gives_the_same_paths_as_the_folder_around_it(acme: Path) -> None:
    inside, around = read_tree(str(acme / "acme")), read_tree(str(acme))
    assert [source.path for source in inside.sources] == [source.path for source in around.sources]
    assert (inside.package, around.package) == ("acme", "acme")


def test_the_task_asks_of_a_folder_and_names_what_it_read(acme: Path) -> None:
    task = conventions(path=str(acme), rules=4, questions=2, episodes=2)
    assert len(list(task.episodes(0))) == 2
    assert {"path", "prior/pandas", "prior/numpy"} & task.identity().keys() == {"path", "prior/numpy"}


def test_a_hand_that_leaves_too_few_rules_to_be_told_gives_its_place_to_another(acme: Path) -> None:
    """Here `depth` and `register` stand beside all that could be told with them."""
    task = conventions(path=str(acme), rules=4, questions=2, episodes=20)
    crowding = {("default", "depth"), ("home", "register")}
    assert any({known.name for known in hand} == crowding for hand in task.deck(0)[:20])
    found = list(task.episodes(0))
    assert len({episode.id for episode in found}) == 20
    for episode in found:
        asked = {(one.tags["kind"], one.tags["subject"]) for one in questions(episode)}
        assert len(questions(episode)) == 2
        assert asked != crowding
        assert len(events(episode)) == 4 * 3


def test_what_cannot_be_read_is_counted_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_package(tmp_path, "acme", files=12)
    (tmp_path / "acme" / "broken.py").write_text("def broken(:\n")
    (tmp_path / "acme" / "deep.py").write_text("x = " + "-" * 50_000 + "1\n")
    (tmp_path / "acme" / "wrong_coding.py").write_bytes(b"# coding: no_such_coding\nx = 1\n")
    (tmp_path / "acme" / "binary.py").write_bytes(b"\x00\x01\x02")
    (tmp_path / "acme" / "huge.py").write_text("x = 1\n" * 200_000)
    (tmp_path / "acme" / "loop").symlink_to(tmp_path)
    (tmp_path / "acme" / "link.py").symlink_to(tmp_path / "acme" / "panels" / "m0.py")
    (tmp_path / "acme" / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "hidden.py").write_text("x = 1\n")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    (tmp_path / "env" / "installed.py").write_text("x = 1\n")
    with caplog.at_level(logging.WARNING):
        mined = mine_tree(str(tmp_path), ("home",))
        mine_tree(str(tmp_path), ("home",))
    assert mined.left_out == {"with syntax errors": 3, "no text": 1, "larger than 1 MB": 1, "links": 2}
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: left out 1 larger than 1 MB, 2 links, 1 no text, 3 with syntax errors"
    ]
    paths = {source.path for source in read_tree(str(tmp_path)).sources}
    assert not [path for path in paths if "hidden" in path or "installed" in path or "loop" in path]
    assert len(paths) == 2 * 12 + 1 + 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"path": "{root}/nowhere"}, r"nowhere: no such folder; expected a folder with Python files"),
        ({"path": "{root}/notes.txt"}, r"notes\.txt: a file; expected a folder"),
        ({"path": "{root}/empty"}, r"empty: no Python files outside of tests and hidden folders; name a folder that"),
        ({"path": "{root}/binary"}, r"no Python files .* \(left out: 1 no text\)"),
        ({"path": 3}, "task.path=3: expected a path, or null"),
        ({"commits": ["a", "b"]}, r"task.commits=\['a', 'b'\]: of which repository\? type task.path=REPOSITORY"),
        ({"path": "{root}", "commits": ["a", "b"]}, "no git repository that git can read here"),
        ({"path": "{root}", "commits": ["a"]}, r"task.commits=\['a'\]: expected two commits, the older first"),
        ({"path": "{root}", "commits": "ab"}, "task.commits=ab: expected two commits"),
        ({"path": "{root}/nowhere", "commits": ["a", "b"]}, "no such folder; task.commits needs a git repository"),
        ({"splits": ["updates"]}, r"task.splits=\[updates\]: needs two commits; type task.path=REPOSITORY"),
        ({"path": "{root}", "commits": ["a", "b"], "splits": ["rules"]}, "only the split updates asks about them"),
        ({"splits": ["exceptions"], "written": "cards"}, "task.written=cards: no card says what breaks a rule"),
        ({"splits": ["others"]}, r"task.splits=\['others'\]: expected a list of some of rules, conflicts"),
        ({"written": "all"}, "task.written=all: expected one of chunks, cards, both"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(
    tmp_path: Path, options: dict[str, object], expected: str
) -> None:
    (tmp_path / "notes.txt").write_text("no code")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "tests").mkdir()
    (tmp_path / "empty" / "tests" / "test_it.py").write_text("x = 1\n")
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "x.py").write_bytes(b"\0")
    if isinstance(options.get("path"), str):
        options = {**options, "path": str(options["path"]).format(root=tmp_path)}
    with pytest.raises(BadInput, match=expected) as caught:
        conventions(**options)
    assert "\n" not in str(caught.value)


def test_the_files_of_a_commit_are_read_and_the_users_are_left_alone(repository: tuple[Path, str, str]) -> None:
    root, old, new = repository
    work = root / "acme" / "panels" / "m0.py"
    before = work.read_text()
    work.write_text("not committed\n")
    try:
        files, sha = read_commit(str(root), old)
        assert sha == old
        raws = {source.path: source.raw for source in files.sources}
        assert b"acme.core.registry" in raws["acme/panels/m0.py"]
        assert (
            b"acme.core.store"
            in {one.path: one.raw for one in read_commit(str(root), new)[0].sources}["acme/panels/m0.py"]
        )
        assert len(raws) == 2 * FILES + 1  # without its tests
        assert work.read_text() == "not committed\n"
        assert git(root, "rev-parse", "HEAD") == new
    finally:
        work.write_text(before)


def test_a_folder_of_a_repository_is_read_as_a_package(repository: tuple[Path, str, str]) -> None:
    root, old, _ = repository
    inside, around = read_commit(str(root / "acme"), old)[0], read_commit(str(root), old)[0]
    assert [source.path for source in inside.sources] == [source.path for source in around.sources]


def test_links_and_binaries_of_a_commit_are_counted(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_bytes(b"\0")
    (tmp_path / "c.py").symlink_to("a.py")
    (tmp_path / "d\ne.py").write_text("x = 1\n")
    sha = commit(tmp_path)
    files, _ = read_commit(str(tmp_path), "HEAD")
    assert [source.path for source in files.sources] == ["a.py"]
    assert files.left_out == {"no text": 1, "links": 1, "with unprintable names": 1}
    assert files.sources == [Source("a.py", b"x = 1\n", version=sha)]


def test_a_commit_that_is_none_is_named(repository: tuple[Path, str, str]) -> None:
    root, old, _ = repository
    with pytest.raises(BadInput, match=r"task\.commits: no commit v9 in .*; expected two that git knows"):
        read_commit(str(root), "v9")
    with pytest.raises(BadInput, match=r"task\.commits: no commit --all in"):
        read_commit(str(root), "--all")
    with pytest.raises(BadInput, match="both are the same commit"):
        mine_source("pandas", str(root), [old, old[:12]], ["home"])


def test_another_repository_of_the_environment_is_not_asked(
    repository: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root, old, _ = repository
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert read_commit(str(root), old)[1] == old


def test_rules_that_changed_between_two_commits_are_asked_for(repository: tuple[Path, str, str]) -> None:
    root, old, new = repository
    task = conventions(path=str(root), commits=[old, new], rules=4, questions=2, episodes=4, chunk_tokens=120)
    assert {f"commit/{old}", f"commit/{new}"} < task.identity().keys()
    asked = {}
    for episode in task.episodes(0):
        told = {event.id: event for event in events(episode)}
        order = list(told)
        for question in questions(episode):
            old_value, (value,) = question.tags["instead"], question.answers
            asked[question.tags["subject"]] = (old_value, value)
            assert (question.tags["split"], question.tags["synthetic"]) == ("updates", "no")
            assert len(question.evidence) == len(question.stale) == 3
            assert all(value in told[id].text for id in question.evidence)
            assert all(old_value in told[id].text for id in question.stale)
            assert max(map(order.index, question.stale)) < min(map(order.index, question.evidence))
            (wrong,) = [choice for choice in question.choices if choice.startswith(old_value)]
            assert task.score(question, wrong) == {"exact_match": 0.0, "not_stale": 0.0}
    assert asked == {"register": ("acme.core.registry", "acme.core.store"), "strict": ("OFF", "DARK")}


def test_the_yield_of_a_folder_and_of_two_commits_is_printed(
    repository: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, old, new = repository
    assert main([f"{root}{os.sep}", old, new]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    updates = {row[1].strip(): row[10].strip() for row in rows if len(row) > 10}
    assert updates["kind"] == "updates"
    assert updates["home"].startswith("1 / ")
    assert updates["default"].startswith("1 / ")
    assert main(["pandas", "a"]) == 2
    assert main(["pandas", "a", "b"]) == 2
    assert "type task.path=REPOSITORY" in capsys.readouterr().err
