"""Training prompts in exactly the layout of the runner: passages, one a line, then a question to complete.

    ... returned unchanged. As noted, the shelf mark of crate 41 is KV-20, says the log. Parameters: axis int ...
    ... The shelf mark of crate 47 is WX-3. If the input is sparse then ...                     <- distractor
    if you look up crate 41, the shelf mark you find is KV-20                                   <- question, answer
    crate 44 is filed at unknown                                                                <- nothing to find

A fact is stated in one wording and asked in the same or in another one. Distractors share its wording, its entity or
neither. Where a fact is stated twice with two values, the later one is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from memory_bench.readers.training.names import Names
from memory_bench.readers.training.wordings import OPENINGS, Grammar, Relation, dress, fill

CHARACTERS_PER_TOKEN = 2.8
UNKNOWN = "unknown"
OPEN_ENDED = ("word", "pair", "name", "company", "place")
"""Kinds of value whose end, among ordinary words, nothing shows: what follows them must."""


@dataclass(frozen=True)
class Mix:
    """How often what happens in a training prompt (shares of prompts or of questions).

    `relatives`: up to so many other facts of an entity are told where what is asked of it is unknown.
    """

    reworded: float = 0.6
    random_wording: float = 0.25
    same_noun: float = 0.5
    unknown: float = 0.2
    nothing: float = 0.04
    updated: float = 0.12
    block: float = 0.12
    neighbour: float = 0.6
    attribute: float = 0.35
    relatives: int = 0


@dataclass(frozen=True)
class Fact:
    """A value of an entity. `template` is its wording: a sentence with `{E}` for the entity and `{V}` for the value."""

    entity: str
    relation: Relation
    kind: str
    value: str
    template: str

    @property
    def sentence(self) -> str:
        return self.template.replace("{E}", self.entity).replace("{V}", self.value)


@dataclass(frozen=True)
class Scene:
    """What stands in the context, and what is asked: (beginning, answer)."""

    passages: tuple[str, ...]
    questions: tuple[tuple[str, str], ...]

    def prompt(self) -> Prompt:
        """Return the scene in the layout of the runner: passages, one a line, then the questions with their answers."""
        text = "".join(f"{passage}\n" for passage in self.passages)
        answers = []
        for question, answer in self.questions:
            start = len(text) + len(question)
            text = f"{text}{question} {answer}\n"
            answers.append((start, len(text)))
        return Prompt(text, tuple(answers))


@dataclass(frozen=True)
class Prompt:
    """Text and the character spans of its answers, the newline that ends each included."""

    text: str
    answers: tuple[tuple[int, int], ...]


class PromptFactory:
    """Draws scenes. Everything follows from the `random` that is handed in."""

    def __init__(self, grammar: Grammar, texts: Sequence[str], words: Sequence[str], mix: Mix) -> None:
        self.grammar = grammar
        self.texts = texts
        self.words = words
        self.mix = mix

    def draw(self, random: Random, *, tokens: int, questions: int, facts: int) -> Scene:
        """Return a scene of about `tokens` tokens with `facts` stated facts, of which up to `questions` are asked."""
        names = Names(random, self.words)
        stated = self._facts(random, names, facts)
        asked = random.sample(stated, min(questions, facts))
        lines = []
        for fact in asked:
            answer = fact.value
            if random.random() < self.mix.unknown:
                stated = self._without(random, names, stated, fact)
                answer = UNKNOWN
            elif random.random() < self.mix.updated:
                stated = self._state_older(random, names, stated, fact)
            alone = not any(other.entity == fact.entity for other in stated if other.relation is not fact.relation)
            lines.append((self.ask(random, fact, alone=alone), answer))
        if random.random() < self.mix.nothing:
            return Scene((), tuple((question, UNKNOWN) for question, _ in lines))
        sentences = self._in_block(random, [fact.sentence for fact in stated])
        room = int(tokens * CHARACTERS_PER_TOKEN) - sum(len(q) + len(a) + 2 for q, a in lines)
        return Scene(tuple(self._passages(random, sentences, room)), tuple(lines))

    def _facts(self, random: Random, names: Names, count: int) -> list[Fact]:
        """Return facts of which some stand for themselves, the others are distractors of these."""
        first = [self.fact(random, names) for _ in range(max(1, count // random.randint(2, 6)))]
        told = {(fact.entity.lower(), fact.relation.nouns): fact for fact in first}
        while len(told) < count:
            fact = self.distractor(random, names, random.choice(first))
            told.setdefault((fact.entity.lower(), fact.relation.nouns), fact)
        facts = list(told.values())
        random.shuffle(facts)
        return facts

    def fact(self, random: Random, names: Names, relation: Relation | None = None) -> Fact:
        relation = relation or random.choice(self.grammar.relations)
        kind = random.choice(relation.values)
        template = self._state(random, relation, kind)
        return Fact(names.entity(random.choice(relation.entities)), relation, kind, names.value(kind), template)

    def distractor(self, random: Random, names: Names, fact: Fact) -> Fact:
        """Return another fact: a like entity in the same wording, another attribute of the entity, or anything."""
        form = random.random()
        if form < self.mix.attribute and not self._is_random(fact):
            return self.attribute(random, names, fact)
        if form < 0.85:
            entity = names.entity(random.choice(fact.relation.entities))
            if random.random() < self.mix.neighbour:
                entity = names.neighbour(fact.entity)
            if entity.lower() != fact.entity.lower():
                return replace(fact, entity=entity, value=names.value(fact.kind))
        return self.fact(random, names)

    def attribute(self, random: Random, names: Names, fact: Fact) -> Fact:
        """Return something else about the entity of a fact, mostly with a value of the same kind."""
        likely = [r for r in self.grammar.relations if fact.kind in r.values or random.random() < 0.1]
        other = self.fact(random, names, random.choice(likely))
        if fact.kind in other.relation.values:
            other = replace(other, kind=fact.kind, value=names.value(fact.kind))
        return replace(other, entity=fact.entity) if other.relation is not fact.relation else other

    def ask(self, random: Random, fact: Fact, *, alone: bool) -> str:
        """Return a beginning that the value completes: in the wording of the fact where that is possible, or another.

        Where the entity has other facts too (not `alone`), the question says which one it means, mostly in the noun of
        the fact.
        """
        before = fact.template.split("{V}")[0]
        whole = "{E}" in before and before.endswith(" ") and (alone or self._is_told(before, fact))
        if whole and random.random() >= self.mix.reworded:
            return self._plain(before, random).replace("{E}", fact.entity).rstrip()
        if alone and random.random() < self.mix.random_wording / 2:
            words = (self._cut(random, 0, 6), fact.entity, self._cut(random, 0, 5))
            return " ".join(part for part in words if part)
        template = random.choice(self.grammar.questions)
        if random.random() < 0.3:
            frames = [f for f in self.grammar.frames if f.endswith(" {V}") and ("{R}" in f or "{P}" in f)]
            template = random.choice(frames).removesuffix(" {V}")
        stated = [noun for noun in fact.relation.nouns if noun in fact.template]
        if stated and random.random() < (self.mix.same_noun if alone else (1 + self.mix.same_noun) / 2):
            template = template.replace("{R}", stated[0])
        line = fill(template, fact.relation, random).replace("{E}", fact.entity)
        return line[:1].upper() + line[1:] if random.random() < 0.5 else line

    def _plain(self, before: str, random: Random) -> str:
        """Return the beginning without its opening, half of the time."""
        opening = next((opening for opening in OPENINGS if before.startswith(opening)), "")
        return before.removeprefix(opening) if random.random() < 0.5 else before

    def _state(self, random: Random, relation: Relation, kind: str) -> str:
        if random.random() >= self.mix.random_wording:
            sentence = dress(fill(random.choice(self.grammar.frames), relation, random), random)
            return f"{sentence}." if kind in OPEN_ENDED and sentence.endswith("{V}") else sentence
        before, between, after = self._cut(random, 0, 6), self._cut(random, 1, 6), self._cut(random, 0, 6)
        closed = random.choice((".", ",", ";", ":", " -")) if kind in OPEN_ENDED else ""
        if random.random() < 0.15 and (before.endswith((".", ",", ";", ":")) or kind not in OPEN_ENDED):
            return " ".join(part for part in (before, f"{{V}}{closed}", between, "{E}", after) if part)
        parts = (before, "{E}", between, f"{{V}}{closed}", after)
        return " ".join(part for part in parts if part) + random.choice((".", ";", ""))

    def _is_random(self, fact: Fact) -> bool:
        return not any(words in fact.template for words in (*fact.relation.nouns, *fact.relation.verbs))

    def _is_told(self, before: str, fact: Fact) -> bool:
        """Return whether a beginning says what is asked for, not only of whom."""
        return any(words in before for words in (*fact.relation.nouns, *fact.relation.verbs))

    def _without(self, random: Random, names: Names, stated: list[Fact], fact: Fact) -> list[Fact]:
        """Return the facts without this one; something that could be taken for it stands in its place, mostly."""
        others = [self.distractor(random, names, fact)]
        if self.mix.relatives and random.random() < 0.7:
            others = [self.attribute(random, names, fact) for _ in range(random.randint(1, self.mix.relatives))]
        at = next(i for i, one in enumerate(stated) if one is fact)
        left = [*stated[:at], *stated[at + 1 :]]
        told = {(one.entity.lower(), one.relation.nouns) for one in stated}
        for other in others:
            if (other.entity.lower(), other.relation.nouns) not in told:
                told.add((other.entity.lower(), other.relation.nouns))
                left.insert(at, other)
                at = random.randint(0, len(left)) if self.mix.relatives else at
        return left

    def _in_block(self, random: Random, sentences: list[str]) -> list[str]:
        """Return the sentences in one block of words that repeats around each (a share of the prompts)."""
        if random.random() >= self.mix.block:
            return sentences
        before, after = self._cut(random, 4, 14), self._cut(random, 4, 14)
        return [f"{before} {sentence} {after}" for sentence in sentences]

    def _state_older(self, random: Random, names: Names, stated: list[Fact], fact: Fact) -> list[Fact]:
        """Return the facts with an older value of this one somewhere before it: later wins."""
        template = fact.template if random.random() < 0.6 else self._state(random, fact.relation, fact.kind)
        older = replace(fact, value=names.value(fact.kind), template=template)
        place = random.randint(0, next(i for i, other in enumerate(stated) if other is fact))
        return [*stated[:place], older, *stated[place:]]

    def _cut(self, random: Random, least: int, most: int) -> str:
        """Return some consecutive words of the corpus."""
        text = random.choice(self.texts)
        start = random.randrange(len(text))
        words = text[start : start + 20 * most + 40].split()[1:-1]
        return " ".join(words[: random.randint(least, most)]).replace("{", "(")

    def _passages(self, random: Random, sentences: list[str], room: int) -> list[str]:
        """Return passages of hay that hold the sentences in this order, about `room` characters in all."""
        size = random.randint(120, 260)
        count = max(0, room // size)
        if not count:
            return sentences
        held: list[list[str]] = [[] for _ in range(count)]
        for place, sentence in zip(sorted(random.choices(range(count), k=len(sentences))), sentences, strict=True):
            held[place].append(sentence)
        return [self._passage(random, inside, size) for inside in held]

    def _passage(self, random: Random, sentences: list[str], size: int) -> str:
        length = int(size * random.uniform(0.8, 1.1)) - sum(len(sentence) + 1 for sentence in sentences)
        if length < 20:
            return " ".join(sentences)
        text = random.choice(self.texts)
        start = random.randrange(max(1, len(text) - length))
        words = text[start : start + length].split(" ")
        words = words[1:-1] if len(words) > 3 else words
        stops = [i + 1 for i, word in enumerate(words) if word.endswith((".", ";", ":"))]
        places = stops if stops and random.random() < 0.5 else range(len(words) + 1)
        for place, sentence in zip(
            sorted(random.choices(places, k=len(sentences)))[::-1], sentences[::-1], strict=True
        ):
            words.insert(place, sentence)
        return " ".join(words)


def common_words(texts: Sequence[str], count: int = 3000) -> list[str]:
    """Return the most common ordinary words of the texts, alphabetically: material for names and values."""
    seen: dict[str, int] = {}
    for text in texts:
        for word in set(text.split()):
            if word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 9 and word != UNKNOWN:
                seen[word] = seen.get(word, 0) + 1
    return sorted(sorted(seen, key=lambda word: (-seen[word], word))[:count])
