"""Where everything stands: facts get chunks, chunks get hay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator
from tokenizers import Tokenizer

from memory_bench.task_tokens import count_tokens
from tasks.needle.facts import LEAST_HAY_TOKENS, Asked, Fact, LayoutError, Sizes
from tasks.needle.hay import ExhaustedError, Words, draw_place, fit, slip_in


@dataclass(frozen=True)
class Block:
    """Chunks of the same text, which is that of a licence or ordinary; only the sentences in them differ."""

    chunks: list[int]
    licence: bool


class Layout:
    """Chunks with their limits and what stands in each. A block has its chunk for itself."""

    def __init__(self, sizes: Sizes, tokenizer: Tokenizer, rng: Generator) -> None:
        self.sizes = sizes
        self.tokenizer = tokenizer
        self.rng = rng
        self.limits = [int(limit) for limit in rng.integers(sizes.smallest, sizes.chunk_tokens + 1, sizes.chunks)]
        self.facts: list[list[Fact]] = [[] for _ in range(sizes.chunks)]
        self.blocks: list[Block] = []
        self.slots: list[Fact] = []

    def lay_out(self, asked: Sequence[Asked]) -> None:
        """Give every fact its chunk: needles first, each in one of its own at its depth. Raises LayoutError."""
        needles = [one for one in asked if one.needle]
        for one in sorted(needles, key=lambda one: -len(one.olds)):  # several in order are harder to place than one
            self.place_needle(one)
        for one in asked:
            if one.block:
                self.place_block(one)
        rest = [fact for one in asked for fact in one.facts() if fact.chunk < 0]
        # the longest first, as one packs a suitcase: short haystacks then hold more
        for fact in sorted(rest, key=lambda fact: -count_tokens(self.tokenizer, fact.sentence)):
            self.put(fact, self.roomy(fact))

    def place_needle(self, asked: Asked) -> None:
        """Give a needle the free chunk nearest to its depth, and what it supersedes free ones before that."""
        free = self.free()
        fit_for_it = sorted(free)[len(asked.olds) :]
        if not fit_for_it or not asked.needle:
            raise LayoutError("more needles than chunks; raise task.length_tokens or lower task.questions")
        place = min(
            (chunk for chunk in free if chunk >= fit_for_it[0]),
            key=lambda chunk: abs(self.sizes.depth_of(chunk) - asked.plan.depth),
        )
        self.put(asked.needle, place)
        for old, chunk in zip(asked.olds, [chunk for chunk in free if chunk < place], strict=False):
            self.put(old, chunk)
        if asked.rival:
            self.put(asked.rival, self.first_free())

    def first_free(self) -> int:
        for chunk in self.free():
            return chunk
        raise LayoutError("more needles than chunks; raise task.length_tokens or lower task.questions")

    def place_block(self, asked: Asked) -> None:
        """Give some distractors of a needle chunks of their own with the limit of its chunk: one block, other slots."""
        free = self.free()
        if len(free) < len(asked.block):
            raise LayoutError("more blocks than chunks; raise task.length_tokens or lower task.distractors")
        for fact, chunk in zip(asked.block, free, strict=False):
            self.put(fact, chunk)
        chunks = [fact.chunk for fact in (asked.needle, *asked.block) if fact]
        for chunk in chunks:
            self.limits[chunk] = self.limits[chunks[0]]
        licence = asked.plan.kind == "boilerplate" or self.rng.random() < self.sizes.boilerplate
        self.blocks.append(Block(chunks, licence))

    def free(self) -> list[int]:
        """Return the chunks with nothing in them, in random order."""
        return [int(chunk) for chunk in self.rng.permutation(self.sizes.chunks) if not self.facts[chunk]]

    def roomy(self, fact: Fact) -> int:
        """Return a random chunk among those that hold the fewest facts and have room for this one."""
        blocks = {chunk for block in self.blocks for chunk in block.chunks}
        order = [int(chunk) for chunk in self.rng.permutation(self.sizes.chunks)]
        for chunk in sorted(order, key=lambda chunk: len(self.facts[chunk])):
            sentences = " ".join(one.sentence for one in (*self.facts[chunk], fact))
            room = self.limits[chunk] - LEAST_HAY_TOKENS
            if chunk not in blocks and count_tokens(self.tokenizer, sentences) <= room:
                return chunk
        raise LayoutError("more facts than the chunks can hold; raise task.length_tokens or lower task.distractors")

    def put(self, fact: Fact, chunk: int) -> None:
        fact.chunk = chunk
        self.facts[chunk].append(fact)

    def fill(self, prose: Words, licences: Words) -> list[str]:
        """Return the text of every chunk; raises hay.ExhaustedError."""
        texts = [""] * self.sizes.chunks
        for block in self.blocks:
            self.fill_together(texts, block.chunks, licences if block.licence else prose)
        ordinary = self.ordinary()
        boilerplate = round(self.sizes.boilerplate * len(ordinary))
        chosen = [int(chunk) for chunk in self.rng.permutation(ordinary)[:boilerplate]]
        free = [chunk for chunk in chosen if not self.facts[chunk]]
        for chunk, fact in zip(free[: round(self.sizes.slots * len(free))], self.slots, strict=False):
            self.put(fact, chunk)
        licensed = set(chosen)
        for chunk in ordinary:
            self.fill_together(texts, [chunk], licences if chunk in licensed else prose)
        return texts

    def most_slots(self) -> int:
        """Return how many distractors can come to stand in the slots of boilerplate, whichever chunks that will be."""
        free = sum(not facts for facts in self.facts)
        licensed = round(self.sizes.boilerplate * len(self.ordinary()))
        return round(self.sizes.slots * min(free, licensed))

    def ordinary(self) -> list[int]:
        """Return the chunks that are no part of a block."""
        blocks = {chunk for block in self.blocks for chunk in block.chunks}
        return [chunk for chunk in range(self.sizes.chunks) if chunk not in blocks]

    def fill_together(self, texts: list[str], chunks: Sequence[int], source: Words) -> None:
        """Fill chunks with the same words, the n-th sentence of each in the same place."""
        limit = self.limits[chunks[0]]
        words = source.peek(limit)
        while fit(self.tokenizer, words[:1], (), limit=limit) < 1:  # a word too long for any chunk
            source.take(1)
            words = source.peek(limit)
        sentences = [[fact.sentence for fact in self.facts[chunk]] for chunk in chunks]
        counts = [fit(self.tokenizer, words, told, limit=limit) for told in sentences]
        if max(counts) == len(words) < limit:
            raise ExhaustedError  # a short chunk would be the only one
        places = [draw_place(words[: min(counts)], self.rng) for _ in sentences[0]]
        for chunk, told, count in zip(chunks, sentences, counts, strict=True):
            pairs = list(zip(places, told, strict=True))
            texts[chunk] = slip_in(self.tokenizer, words[:count], pairs, limit=limit)
        source.take(max(counts))
