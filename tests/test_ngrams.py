"""The compression rule: what a token is once case, accents and blanks are gone."""

import hashlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, normalizers

from memory_bench.ngrams import compress_vocabulary, no_compression, normalise

# The same rule, written by others: the chain of normalizers that the published Engram names.
PUBLISHED = normalizers.Sequence(
    [
        normalizers.NFKC(),
        normalizers.NFD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
        normalizers.Replace(Regex(r"[ \t\r\n]+"), " "),
        normalizers.Replace(Regex(r"^ $"), "\ue000"),
        normalizers.Strip(),
        normalizers.Replace("\ue000", " "),
    ]
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (" Apple", "apple"),
        ("APPLE", "apple"),
        ("Élan ", "elan"),
        ("ﬁne", "fine"),
        ("４２", "42"),
        ("a \t\r\n b", "a b"),
        (" \n\t", " "),
        ("\u00a0", " "),
        ("", ""),
        ("\u0301", ""),
        ("ΟΔΟΣ", "οδοσ"),
        ("İ", "i"),
        ("\x1c", "\x1c"),
        ("\ue000", "\ue000"),
    ],
)
def test_a_text_keeps_what_is_not_case_accent_or_blank(text: str, left: str) -> None:
    assert normalise(text) == left


# Letters whose tables are older than both libraries: the newest additions to Unicode may differ between them.
LONG_ASSIGNED = st.text(
    st.one_of(
        st.characters(max_codepoint=0x52F, exclude_categories=["Cn", "Cs"]),
        st.sampled_from("ﬁﬂ４２Ａａ한글ガがｶﾞ\u2028\u2029\u3000\u1680\u202f　½²™Ωſẞ"),
    ),
    max_size=12,
)


@given(LONG_ASSIGNED)
def test_the_rule_is_the_published_chain_of_normalizers(text: str) -> None:
    assert normalise(text) == PUBLISHED.normalize_str(text)


@given(st.text(max_size=12))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(max_size=12))
def test_accents_and_letter_case_leave_no_trace(text: str) -> None:
    left = normalise(text)
    assert not any(unicodedata.combining(char) for char in left)
    assert left == normalise(unicodedata.normalize("NFD", text))


def test_tokens_that_differ_in_case_accents_or_blanks_are_one() -> None:
    decoded = ["Apple", " apple", "APPLE", "pear", " ", "\n\n", "\t", "ápple"]
    compression = compress_vocabulary(decoded, decoded)
    assert compression.map_V.tolist() == [0, 0, 0, 1, 2, 2, 2, 0]
    assert compression.map_V.dtype == np.int32
    assert compression.size == 3


def test_parts_of_a_character_never_merge() -> None:
    pieces = ["Ã", "ã", "â", "ã"]
    decoded = ["\ufffd", "\ufffd", "a\ufffd", "ã"]
    assert compress_vocabulary(pieces, decoded).size == 4


def test_a_piece_never_meets_a_text_that_looks_like_it() -> None:
    assert compress_vocabulary(["ł", "x"], ["\ufffd", "ł"]).map_V.tolist() == [0, 1]


def test_special_tokens_stay_apart() -> None:
    pieces = ["<S>", "<s>", "<s>"]
    assert compress_vocabulary(pieces, pieces, special={0, 1}).map_V.tolist() == [0, 1, 2]
    assert compress_vocabulary(pieces, pieces).map_V.tolist() == [0, 0, 0]


def test_a_token_of_accents_alone_keeps_its_text() -> None:
    assert compress_vocabulary(["a", "b", "c"], ["\u0301", "\u0300", ""]).size == 3


def test_numbers_follow_the_first_appearance_and_the_digest_is_of_int32() -> None:
    compression = compress_vocabulary(["b", "a", "B"], ["b", "a", "B"])
    assert compression.map_V.tolist() == [0, 1, 0]
    little_endian = bytes.fromhex("00000000 01000000 00000000")
    assert compression.digest == hashlib.sha256(little_endian).hexdigest()


def test_a_map_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        compress_vocabulary(["a"], ["a"]).map_V[0] = 7


def test_no_compression_keeps_every_id() -> None:
    compression = no_compression(5)
    assert compression.map_V.tolist() == [0, 1, 2, 3, 4]
    assert compression.size == 5


def test_pieces_and_texts_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 pieces and 1 texts"):
        compress_vocabulary(["a", "b"], ["a"])
