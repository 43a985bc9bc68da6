"""What is mined: the rules of a package, their support, what others would say, and the table of yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memory_bench.errors import BadInput
from memory_bench.metrics import holds
from tasks.conventions.__main__ import main
from tasks.conventions.occurrences import Occurrence, occurrences
from tasks.conventions.rules import KINDS, LEAST_CONFIDENCE, LEAST_FILES, LEAST_SUPPORT, PACKAGE, Mined, mine
from tasks.conventions.sources import digest as digest_of_files
from tasks.conventions.sources import read_package
from tests.conventions import BY_FOLDER, FILES, ROOT, conventions, mined_while_installed, rule_of


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mined]:
    with mined_while_installed(tmp_path_factory.mktemp("site")) as mined:
        yield mined


def test_the_rules_of_a_known_package_are_mined(acme: Mined) -> None:
    said = {(rule.kind, rule.subject, rule.scope): rule.value for rule in acme.rules}
    assert said == {
        ("home", "register", ""): "acme.core.registry",
        ("home", "Any", ""): "typing",
        ("alias", "import acme.core.geometry", ""): "geo",
        ("annotation", "depth", ""): "int",
        ("default", "depth", ""): "3",
        **{("annotation", "strict", f"acme/{folder}"): value for folder, (value, _) in BY_FOLDER.items()},
        **{("default", "strict", f"acme/{folder}"): value for folder, (_, value) in BY_FOLDER.items()},
    }


def test_a_rule_counts_seen_files_and_asks_the_others(acme: Mined) -> None:
    home = rule_of(acme, "home", "register")
    assert len(home.seen) + len(home.held_out) == 2 * FILES
    assert 0.55 < len(home.seen) / (2 * FILES) < 0.85
    assert all(place.source.is_seen for place in home.seen)
    assert not any(place.source.is_seen for place in home.held_out)


def test_the_prior_is_what_other_packages_say_and_decides_what_is_discriminating(acme: Mined) -> None:
    assert not rule_of(acme, "home", "Any").is_discriminating  # everybody has it from typing
    assert rule_of(acme, "home", "register").prior == "acme"
    assert rule_of(acme, "alias", "import acme.core.geometry").prior == "geometry"
    assert rule_of(acme, "annotation", "strict", "acme/panels").is_discriminating


def test_folders_that_disagree_have_rules_of_their_own_and_know_of_each_other(acme: Mined) -> None:
    for folder, other in (("panels", "widgets"), ("widgets", "panels")):
        rule = rule_of(acme, "annotation", "strict", f"acme/{folder}")
        assert rule.elsewhere == (BY_FOLDER[other][0],)
        assert {place.source.folder for place in (*rule.seen, *rule.held_out)} == {f"acme/{folder}"}


def test_pandas_has_fifty_discriminating_rules_that_can_be_asked_for() -> None:
    pool = conventions().pool
    assert len(mine("pandas").rules) > len(pool) >= 50
    assert all(known.rule.is_discriminating and known.lines for known in pool)


def test_the_yield_is_printed_kind_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rich"]) == 0
    printed = capsys.readouterr().out
    rows = {cells[1].strip(): cells for line in printed.splitlines() if len(cells := line.split("|")) > 7}
    assert set(KINDS) < rows.keys()
    rules, discriminating = (int(rows["all"][column]) for column in (2, 5))
    with_questions, lines = map(int, rows["all"][7].split("/"))
    assert rules == len(mine("rich", KINDS).rules) > len(mine("rich").rules)
    assert lines > with_questions >= 5
    assert rules > discriminating >= with_questions


def test_every_rule_of_pandas_has_its_support_in_seen_files() -> None:
    said: dict[tuple[str, str], list[Occurrence]] = {}
    for place in (place for source in read_package("pandas") if source.is_seen for place in occurrences(source)):
        said.setdefault((place.kind, place.subject), []).append(place)
    for rule in mine("pandas").rules:
        places = [one for one in said[rule.kind, rule.subject] if rule.scope in (PACKAGE, one.source.folder)]
        keeping = [one for one in places if one.value == rule.value]
        assert len(keeping) == len(rule.seen) >= max(LEAST_SUPPORT, LEAST_CONFIDENCE * len(places))
        assert len({one.source.path for one in keeping}) >= LEAST_FILES


def test_what_was_read_is_named_and_a_changed_file_changes_it(acme: Mined) -> None:
    assert {"package/pandas", "prior/numpy", "prior/hydra", "tokenizer", "python"} <= set(conventions().identity())
    sources = read_package("acme")
    assert acme.identity["package/acme"] == digest_of_files(sources)
    changed = [replace(sources[0], raw=sources[0].raw + b"#"), *sources[1:]]
    moved = [replace(sources[0], path="acme/other.py"), *sources[1:]]
    assert len({digest_of_files(one) for one in (sources, changed, moved)}) == 3


def test_a_package_is_no_prior_of_itself() -> None:
    identity = mine("rich").identity
    assert "package/rich" in identity
    assert "prior/rich" not in identity
    assert "prior/jinja2" in identity


def test_no_rule_of_pandas_stands_in_the_repository() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("tasks/conventions", "conf/task")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".yaml", ".json", ".txt")
    )
    own = [rule for rule in mine("pandas").rules if rule.value.startswith("pandas.") or "pandas." in rule.subject]
    assert len(own) > 50
    assert not [rule for rule in own if holds(text, rule.value) or (holds(text, rule.subject) and rule.kind == "alias")]


def test_a_package_without_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compiled_only").mkdir()
    (tmp_path / "compiled_only" / "core.so").write_bytes(b"\x7fELF")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with pytest.raises(BadInput, match=r"task\.package=compiled_only: it has no Python sources outside its tests"):
            conventions(package="compiled_only")


def test_the_command_says_in_one_line_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no_such_package"]) == 2
    assert capsys.readouterr().err.startswith("task.package=no_such_package: not installed here")
    assert main(["pandas", "numpy"]) == 2
    assert capsys.readouterr().err.startswith("expected one package, or one folder, or a repo")
