"""A session of edits under a rulebook: the same rules are needed again, and the conversation so far is carried along.

    e0   [r417] fast: In acme, fast is imported from acme._speed.                   <- the rulebook: a card a rule,
    e1   [r052] exact: In acme/io, the parameter exact is annotated bool.              each with an id of its own
    q0   # acme/core/invalid.py ... from ___ import fast      -> acme._speed    evidence {e0}    needed: first
    q1   # acme/io/html.py ...      def area(exact: ___       -> bool           evidence {e1}    needed: first
    q2   # acme/text/wrap.py ...    from ___ import fast      -> acme._speed    evidence {e0}    needed: again

An edit is a real line of a held-out file with its answer masked, as in `tasks.conventions`; the question names the
file. What the rules of a session say is masked in all of its edits: an earlier edit, which stands in the prompt of a
later one, would give it away. What the reader answered before stands there too, right or wrong.

Ids begin the cards, and no other text holds one: a passage that says `[r417]` refers to that card. A memory that brings
a card once and its id from then on saves tokens, as long as the card has not left the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from numpy.random import PCG64, Generator, SeedSequence

from memory_bench.errors import BadInput
from memory_bench.metrics import holds
from memory_bench.task_options import check_choices, check_flag, check_seed, check_whole
from memory_bench.types import Episode, Event, Question
from tasks.conventions.balance import Circle, balanced, circles
from tasks.conventions.cards import Card
from tasks.conventions.finders import BASIC
from tasks.conventions.form import Form, score
from tasks.conventions.questions import Asked, ask, mask
from tasks.conventions.rules import Rule
from tasks.conventions.sourced import mine_source

DRAWS: Final = 100  # of one session, before it is said that it cannot be had
IDS: Final = r"\[r\d{3}\]"
NUMBERS: Final = 1000  # of three digits


class TooFewLinesError(Exception):
    """Rules that were drawn have too few held-out lines once what the others say is masked."""


@dataclass(frozen=True)
class Line:
    """A held-out line that can be asked about, and the path of its file."""

    path: str
    asked: Asked


@dataclass(frozen=True, eq=False)
class Known:
    """A rule that can be asked for, the lines that ask for it, and the answers to all others of its kind."""

    rule: Rule
    lines: Sequence[Line]
    circle: Circle


class Session:
    """Edits under a rulebook. Options and their defaults: conf/task/session.yaml.

    package         an installed package, by its import name
    path            a folder to be read in its place; null is the package
    kinds           of rules, see tasks.conventions
    rules           in the rulebook of a session
    asked           different rules that its edits need; the others are there to be read past
    edits           in a session; every rule that is asked for is needed edits / asked times at least
    episodes        sessions, each with rules of its own
    context_lines   of the held-out file, before the line with the mask
    carry           whether earlier edits and answers stay in the prompt
    answer          choices: the likeliest of four; completion: what the reader writes in place of the mask
    tokenizer       a file of the library `tokenizers`; null is the bundled reader's

    Raises BadInput for every wrong value, and where there are too few rules or lines for what is asked for.
    """

    version = "2"

    def __init__(
        self,
        *,
        package: str,
        path: str | None,
        kinds: Sequence[str],
        rules: int,
        asked: int,
        edits: int,
        episodes: int,
        context_lines: int,
        carry: bool,
        answer: str,
        tokenizer: str | None,
    ) -> None:
        check_choices("kinds", kinds, BASIC)
        check_whole("rules", rules, least=1)
        check_whole("asked", asked, least=1)
        check_whole("edits", edits, least=1)
        check_whole("episodes", episodes, least=1)
        check_whole("context_lines", context_lines, least=0)
        check_flag("carry", carry)
        if not asked <= rules <= NUMBERS:
            raise BadInput(f"task.rules={rules}: expected task.asked={asked} or more, and {NUMBERS} at most")
        if edits < asked:
            raise BadInput(f"task.edits={edits}: too few for task.asked={asked} different rules; lower that")
        self.in_book = rules
        self.asked = asked
        self.edits = edits
        self.number = episodes
        self.context_lines = context_lines
        self.carry = carry
        self.form = Form(answer=answer, tokenizer=tokenizer)
        self.mined, _ = mine_source(package, path, None, kinds)
        self.rules = [rule for rule in self.mined.rules if rule.kind in kinds and rule.is_discriminating]
        self.pool = self.known()
        self.check_that_it_fits()

    @property
    def each(self) -> int:
        """How many edits a rule that is asked for is needed by, at most; one less at least."""
        return -(-self.edits // self.asked)

    def known(self) -> list[Known]:
        """Return the rules that have lines enough to be needed again."""
        lines = {rule: found for rule in self.rules if len(found := self.lines(rule)) >= self.each}
        around = circles(list(lines))
        return [Known(rule, found, around[rule.kind]) for rule, found in lines.items()]

    def lines(self, rule: Rule) -> list[Line]:
        asked = ((place, ask(rule, place, context_lines=self.context_lines)) for place in rule.held_out)
        return list(dict.fromkeys(Line(place.source.path, one) for place, one in asked if one))  # overloads look alike

    def check_that_it_fits(self) -> None:
        if len(self.rules) < self.in_book or len(self.pool) < self.asked:
            raise BadInput(
                f"{self.mined.package}: it has {len(self.rules)} rules that others have not, {len(self.pool)} of them "
                f"with {self.each} held-out lines; task.rules={self.in_book} and task.asked={self.asked} are needed: "
                "lower them, or name a larger package"
            )
        self.episode(0, 0)

    def identity(self) -> Mapping[str, str]:
        """Return one sha256 for everything that was read (over names and digests of its files), and the versions."""
        return self.form.identity(self.mined.identity)

    def episodes(self, seed: int) -> Iterator[Episode]:
        """Yield one session after the other; each depends on the seed and its number only."""
        check_seed(seed)
        return (self.episode(seed, number) for number in range(self.number))

    def episode(self, seed: int, number: int) -> Episode:
        """Draw rules until their lines suffice. Raises BadInput where that does not happen."""
        rng = Generator(PCG64(SeedSequence([seed, number])))
        for _ in range(DRAWS):
            try:
                return self.draw(f"session-{seed}-{number:04d}", rng)
            except TooFewLinesError:
                continue
        raise BadInput(
            f"task.edits={self.edits} task.asked={self.asked}: the rules of {self.mined.package} have too few held-out "
            "lines that do not give each other away; lower task.edits, or raise task.asked"
        )

    def draw(self, name: str, rng: Generator) -> Episode:
        """Return the rulebook in random order, then the edits. Raises TooFewLinesError."""
        needed = balanced(self.pool, rng)[: self.asked]
        if len(needed) < self.asked:
            raise TooFewLinesError
        edits = self.schedule(needed, rng)
        book = self.book([known.rule for known in needed], rng)
        numbers = rng.permutation(NUMBERS)[: len(book)]
        cards = [f"[r{number:03}] {self.card(rule)}" for number, rule in zip(numbers, book, strict=True)]
        events = {
            rule: Event(rng.bytes(8).hex(), text, scope=rule.scope, time=float(at))
            for at, (rule, text) in enumerate(zip(book, cards, strict=True))
        }
        questions = []
        for turn, (known, line) in enumerate(edits):
            again = any(known is earlier for earlier, _ in edits[:turn])
            questions.append(
                self.form.question(
                    f"{name}-q{turn:02}",
                    known,
                    line,
                    rng,
                    time=float(self.in_book + turn),
                    evidence=[events[known.rule]],
                    tags={"needed": "again" if again else "first", "turn": str(turn)},
                )
            )
        return Episode(name, (*events.values(), *questions), carry=self.carry, ids=IDS)

    def card(self, rule: Rule) -> str:
        return f"{rule.subject}: {Card(rule, self.mined.package).text}"

    def schedule(self, needed: Sequence[Known], rng: Generator) -> list[tuple[Known, Asked]]:
        """Return the edits in random order: of each rule as many, or one more by chance, no line twice.

        Not by lines: what is named often is of few kinds.
        """
        chosen: list[tuple[Known, Asked]] = []
        less = rng.permutation(len(needed))[: self.each * len(needed) - self.edits]
        for number, known in enumerate(needed):
            others = [other.rule.value for other in needed if other is not known]
            lines = [line for one in known.lines if (line := without(one, known.rule, others))]
            if len(lines) < self.each:
                raise TooFewLinesError
            chosen += [(known, lines[at]) for at in rng.permutation(len(lines))[: self.each - (number in less)]]
        return [chosen[at] for at in rng.permutation(len(chosen))]

    def book(self, needed: Sequence[Rule], rng: Generator) -> list[Rule]:
        """Return the rules of a session: those that are needed, what other folders say of the same, and any others."""
        others = [rule for at in rng.permutation(len(self.rules)) if (rule := self.rules[at]) not in needed]
        said = {(rule.kind, rule.subject) for rule in needed}
        others.sort(key=lambda rule: (rule.kind, rule.subject) not in said)  # stable: the rest stays in random order
        book = [*needed, *islice(others, self.in_book - len(needed))]
        return [book[at] for at in rng.permutation(len(book))]

    def score(self, question: Question, answer: str) -> dict[str, float]:
        return score(question, answer)


def without(line: Line, rule: Rule, values: Sequence[str]) -> Asked | None:
    """Return the question with these values masked but for its path; None where it cannot be asked for then."""

    def hidden(text: str) -> str:
        for value in values:
            text = mask(text, value)
        return text

    asked = line.asked
    head, path, code = asked.text.partition(f"{line.path}: ")
    file, newline, lines = asked.cloze.partition("\n")
    code = hidden(code)
    if not holds(code, rule.subject):
        return None
    return replace(asked, text=head + path + code, cloze=file + newline + hidden(lines), rest=hidden(asked.rest))
