"""Ways to state a fact and ways to ask for it, from a small grammar: some ten thousand, a share of them held out.

    statement   As noted, the shelf mark of crate 41 is KV-20, says the log.      relation x frame x opening x ending
    question    if you look up crate 41, the shelf mark you find is ___           relation x question

Besides them, random wordings: a few words cut from the corpus around the name and the value. They teach that the name
carries the fact, whatever the words around it are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import TypeVar

Item = TypeVar("Item", str, "Relation")
HELD_OUT_SHARE = 7  # one relation, frame and question in so many, picked by its sha256, is never trained on

OPENINGS = (
    "As noted, |By the way, |According to the log, |For the record, |Since last week, |In short, |It seems that |"
    "Please remember that |To be clear, |Note: |From the minutes: |As of today, |After some discussion, |NB: |"
    "Update: |The report says that |In other news, |We learned that |Following the review, |Reminder: |- |* |> |# "
).split("|")
ENDINGS = (
    ".|.|.|.|.|; see below.|, says the log.| until further notice.| as before.| (checked twice).|, and nothing else.|"
    ", which was expected.| -- signed off.|, as everyone knows.| for the time being.|!|;|,| and that is final.| "
    "[confirmed].| according to the register.|, at least on paper.| | per the last review."
).split("|")


@dataclass(frozen=True)
class Relation:
    """What a fact is about: noun phrases and verb phrases that mean the same, and which values and entities fit."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    values: tuple[str, ...]
    entities: tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    relations: tuple[Relation, ...]
    frames: tuple[str, ...]
    questions: tuple[str, ...]

    def count(self) -> int:
        """Return how many (relation, frame or question) wordings there are, openings and endings not counted."""
        templates = (*self.frames, *self.questions)
        verbal = sum(template.startswith("*") for template in templates)
        nominal = len(templates) - verbal
        return sum(nominal * len(r.nouns) + verbal * len(r.verbs) for r in self.relations)


def load_grammar(*, held_out: bool) -> Grammar:
    """Return the wordings to train on, or those that are never trained on."""
    relations = tuple(_relation(line) for line in _lines("relations.txt"))
    frames, questions = _lines("frames.txt"), _lines("questions.txt")
    return Grammar(_part(relations, held_out), _part(frames, held_out), _part(questions, held_out))


def _part(items: tuple[Item, ...], held_out: bool) -> tuple[Item, ...]:
    return tuple(item for item in items if _is_held_out(item) == held_out)


def _is_held_out(item: str | Relation) -> bool:
    text = item.nouns[0] if isinstance(item, Relation) else item
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % HELD_OUT_SHARE == 0


def _lines(name: str) -> tuple[str, ...]:
    text = (files("memory_bench.readers.training") / name).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("# "))


def _relation(line: str) -> Relation:
    nouns, verbs, values, entities = (part.strip() for part in line.split(" ; "))
    return Relation(tuple(nouns.split("|")), tuple(verbs.split("|")), tuple(values.split()), tuple(entities.split()))


def fill(template: str, relation: Relation, random: Random) -> str:
    """Return the template with the relation filled in; `{E}` and `{V}` stay."""
    template = template.removeprefix("* ")
    return template.replace("{R}", random.choice(relation.nouns)).replace("{P}", random.choice(relation.verbs))


def dress(sentence: str, random: Random) -> str:
    """Return the sentence with an opening and an ending, capitalised half of the time."""
    opening = random.choice(OPENINGS) if random.random() < 0.4 else ""
    if not opening and random.random() < 0.7:
        sentence = sentence[:1].upper() + sentence[1:]
    return opening + sentence + random.choice(ENDINGS)
