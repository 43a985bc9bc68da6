"""What the bundled reader is trained on: prose of installed packages, and nothing that a task could be made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from memory_bench.errors import Unavailable
from memory_bench.readers.training.corpus import Document, load_corpus, prose, read_corpus
from memory_bench.readers.training.prompts import common_words

LONG = "Return the mean of all values that were seen so far, each weighted by the time for which it was held. " * 3


def write_package(root: Path, files: dict[str, str], *, version: str) -> None:
    for name, text in files.items():
        path = root / "someprose" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder = root / "someprose-0.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: someprose\nVersion: {version}\n")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that can be imported, with one good module and much that is to be left out."""
    good = f'"""{LONG}"""\n\ndef shown():\n    """{LONG.upper()}"""\n\ndef short():\n    """Shown."""\n'
    files = {
        "__init__.py": "",
        "good.py": good,
        "licensed.py": f'"""{LONG} Licensed under terms."""\ndef shown():\n    """{LONG} See LICENCE."""\n',
        "tests/test_good.py": good,
        "testing.py": good,
        "broken.py": f'"""{LONG}"""\ndef (:\n',
        "data.txt": LONG,
    }
    write_package(tmp_path / "site", files, version="1.0")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site" / "someprose"


def test_only_long_docstrings_of_modules_that_are_no_tests_and_speak_of_no_licence_are_read(package: Path) -> None:
    [document] = read_corpus(["someprose"])
    assert document.source == "someprose/good.py"
    assert document.sha256 == hashlib.sha256((package / "good.py").read_bytes()).hexdigest()
    assert document.text == f"{LONG.strip()} {LONG.strip().upper()}"


def test_prose_is_one_line_and_code_is_only_parsed() -> None:
    source = f'raise SystemExit\nclass A:\n    """{LONG.replace(", ", chr(10))}\n    """\n'
    assert prose(source) == LONG.replace(",", "").strip()
    assert prose("x = '\\d'\n") == ""
    assert prose("\0") == ""


def test_one_file_in_about_fifty_is_held_out_by_its_content() -> None:
    documents = [Document("a.py", hashlib.sha256(bytes([n % 256, n // 256])).hexdigest(), "") for n in range(5000)]
    held_out = [document for document in documents if document.held_out]
    assert 60 < len(held_out) < 140
    assert all(replace(document, source="b.py").held_out for document in held_out)


def test_the_corpus_is_kept_until_a_version_changes(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "kept" / "corpus.jsonl"
    first = load_corpus(["someprose"], cache)
    (package / "more.py").write_text(f'"""More. {LONG}"""')
    assert load_corpus(["someprose"], cache) == first
    write_package(package.parent, {}, version="1.1")
    again = load_corpus(["someprose"], cache)
    assert [document.source for document in again] == ["someprose/good.py", "someprose/more.py"]
    assert load_corpus(["someprose"], cache) == again


def test_another_list_of_packages_is_another_corpus(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "corpus.jsonl"
    load_corpus(["someprose"], cache)
    both = {document.source.split("/")[0] for document in load_corpus(["someprose", "networkx"], cache)}
    assert both == {"someprose", "networkx"}
    assert package.name in both


def test_a_package_that_is_missing_is_named_with_what_to_type(tmp_path: Path) -> None:
    expected = r"the package 'nosuchprose': pip install nosuchprose"
    with pytest.raises(Unavailable, match=expected):
        read_corpus(["nosuchprose"])
    with pytest.raises(Unavailable, match=expected):
        load_corpus(["nosuchprose"], tmp_path / "corpus.jsonl")


def test_common_words_are_the_frequent_ordinary_ones_in_alphabetical_order() -> None:
    texts: Sequence[str] = ["every value counts x_1", "value of Every value", "counts value naïve incomprehensible"]
    assert common_words(texts, count=2) == ["counts", "value"]
    assert common_words(texts) == ["counts", "every", "value"]
