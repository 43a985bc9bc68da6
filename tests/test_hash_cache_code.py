"""Structural keys of the hash cache: which fragments of code are one, and what is no code."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hash_cache.code import LEAST_PARTS, MOST_CHARACTERS, by_key, fragments
from memory_bench.types import Event, Query
from tests.caches import cache, found

SOURCES = sorted((Path(__file__).parent.parent / "adapters" / "hash_cache").glob("*.py"))
METHOD = '''\
        return first

    @cached
    def load(self, name):
        """Read the settings."""
        with open(name) as file:
            return json.load(file)
'''


def key(text: str) -> int:
    """The key of a text that is one statement."""
    (outer,) = (fragment for fragment in fragments(text) if fragment.outer)
    return outer.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conn = sqlite3.connect(path, timeout=5)", "db = sqlite3.connect( name, timeout = 30 )  # wait"),
        ("def f(a, b):\n  return a + b", "def add(x, y):\n    return (x\n            + y)"),
        ("def f(a):\n    return g(a)", 'def f(a):\n    """What it does."""\n    return g(a)'),
        ("x = open('a', 'r')", 'x = open("b", "w")'),
        ("for row in rows: print(row)", "for line in lines:\n    print(line)"),
        ("try:\n    f()\nexcept OSError as error:\n    g(error)", "try:\n    f()\nexcept OSError as e:\n    g(e)"),
        ("import numpy as np", "import numpy as numeric"),
    ],
)
def test_layout_names_of_its_own_and_literals_do_not_matter(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conn = sqlite3.connect(path)", "conn = psycopg.connect(path)"),  # what is used
        ("f(a, b)", "f(a, a)"),  # which names are one
        ("f(1)", "f('1')"),  # the type of a literal
        ("f(x=1)", "f(y=1)"),
        ("from acme import fast", "from acme import slow"),
        ("@cached\ndef f(): pass", "@bare\ndef f(): pass"),
        ("class A(Base): pass", "class A(Other): pass"),
        ("try:\n    f()\nexcept OSError:\n    g()", "try:\n    f()\nexcept KeyError:\n    g()"),
        ("def f(a, b): pass", "def f(a, *, b): pass"),
        ("f(a + b)", "f(a - b)"),
        ("f(g(a), b)", "f(g(a, b))"),  # the same parts in another tree
    ],
)
def test_what_is_used_and_how_matters(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_keys_are_pinned() -> None:
    """A file written today is read by these keys tomorrow, and by another version of Python."""
    assert key("conn = sqlite3.connect(path, timeout=5)") == -5528335097509176022
    assert key("def load(p):\n    with open(p) as f:\n        return json.load(f)") == -6427260845195975149


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_real_files_have_the_same_keys_in_another_layout(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert by_key(text).keys() == by_key(ast.unparse(ast.parse(text))).keys()
    assert len(by_key(text)) > len(text) / 500


def test_a_chunk_of_a_file_has_the_keys_of_what_is_whole_in_it() -> None:
    found = {(one.kind, *sorted(one.names), one.first_line, one.last_line) for one in fragments(METHOD) if one.outer}
    assert found == {("statement", 1, 1), ("function", "load", 3, 7)}
    whole = textwrap.dedent(METHOD.partition("\n\n")[2])
    assert by_key(METHOD).keys() == by_key(whole).keys()


def test_code_between_prose_is_found() -> None:
    text = f"This is how it is done:\n\n{textwrap.indent('conn = sqlite3.connect(path)', '    ')}\nand closed again."
    assert [one.text for one in fragments(text)] == ["conn = sqlite3.connect(path)", "sqlite3.connect(path)"]


def test_what_every_file_holds_is_no_key() -> None:
    short = "x = 1\nreturn x\nf(x)\npass"
    assert {one.parts < LEAST_PARTS for one in fragments(short)} == {True}
    assert by_key(short) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The access code of gate 17 is 4411.",
        "gate",
        "left, right",
        "it is not here",
        "a\0b = c(d)",
        "(" * 9_999,
        "x" + " + x" * 9_999,
        "f(x)\n" * (MOST_CHARACTERS // 5 + 1),
        '"""never closed\nf(x, y)',
    ],
    ids=["empty", "prose", "word", "words", "comparison", "NUL", "brackets", "deep", "long", "open"],
)
def test_what_is_no_code_has_no_keys(text: str) -> None:
    assert {one.kind for one in by_key(text).values()} <= ({"call"} if "never closed" in text else set())


def test_what_python_warns_of_is_read_in_silence() -> None:
    """Warnings are errors in the tests."""
    assert len(by_key('pattern = re.compile("\\d+", flags)')) == 2


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="ab=():.\n\t #\"'\\@[]", max_size=40))
def test_any_text_is_read(text: str) -> None:
    assert all(one.key < 0 and 1 <= one.first_line <= one.last_line for one in fragments(text))


@pytest.mark.parametrize(("code_keys", "ids"), [(True, ["shape"]), (False, [])])
def test_code_is_found_by_its_shape_where_no_words_are_shared(code_keys: bool, ids: list[str]) -> None:
    memory = cache(code_keys=code_keys)
    memory.write([Event("shape", "kept=[r for r in table if r]"), Event("other", "kept=[r.x for r in table]")])
    assert found(memory, "rows = [line for line in lines if line]") == ids
    memory.close()


def test_a_longer_shared_fragment_ranks_higher() -> None:
    memory = cache(code_keys=True)
    memory.write([Event("call", "z = f(g(q, 1), 2)", time=2.0), Event("both", "y = f(g(p, 1), 2)\nh(y, y)", time=1.0)])
    assert found(memory, "a=f(g(b,5),7);h(a,a)") == ["both", "call"]
    assert memory.explain(Query("h(n,n)"))[0].event.id == "both"
    memory.close()
