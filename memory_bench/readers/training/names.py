"""Names of entities and values of facts, drawn at random: none is ever meant to be known, only to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from uuid import UUID

KINDS = {
    "device": "pump sensor scanner turbine printer camera drill router relay compressor lamp tablet meter furnace "
    "radio",
    "vehicle": "truck ferry tram barge van glider tractor bus train tug lorry shuttle wagon cutter trawler",
    "person": "nurse captain clerk miller baker pilot painter guard student tailor farmer engineer judge cook porter",
    "room": "hall cabin studio cellar office attic ward lab chapel kitchen vault classroom locker booth workshop",
    "place": "village island valley harbour station farm tower quarry park bridge camp mill lake hill lighthouse",
    "object": "statue book painting vase carpet violin letter coin map chest bell sword manuscript globe mirror",
    "container": "crate barrel drum box pallet sack tank cask basket bin trunk folder envelope carton bundle",
    "animal": "horse dog cow parrot goat cat mule falcon ox donkey bear llama goose tortoise camel",
    "company": "firm bakery brewery bank workshop publisher foundry agency laboratory school clinic inn guild",
    "project": "survey study campaign audit expedition contract course merger exhibition trial plan upgrade census",
    "team": "crew choir orchestra squad committee league union band troupe patrol panel platoon club shift",
}
ONSETS = "b br ch d dr f fl g gr h j k kl l m n p pr r s sh sk st t th tr v w y z".split()
VOWELS = "a e i o u ai ea ou ei oa ie".split()
CODAS = ["", "", "", "n", "r", "l", "s", "m", "th", "ck", "nd", "rt", "x", "sk"]
GREEK = "alpha beta gamma delta epsilon zeta theta kappa lambda sigma omega".split()
MONTHS = "January February March April May June July August September October November December".split()
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


class Names:
    """Draws entities and values from one generator. `words` are ordinary words of the corpus."""

    def __init__(self, random: Random, words: Sequence[str]) -> None:
        self.random = random
        self.words = words

    def made_up(self) -> str:
        r = self.random
        syllables = r.choice((1, 2, 2, 2, 3))
        return "".join(r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS) for _ in range(syllables))

    def entity(self, kind: str) -> str:
        """Return a name of one to about ten tokens."""
        r = self.random
        if kind == "person" and r.random() < 0.8:
            return self.person()
        noun = r.choice(KINDS[kind].split())
        form = r.randrange(12)
        made = self.made_up().capitalize()
        return (
            f"{noun} {r.randrange(1, 10 ** r.randrange(1, 5))}",
            f"{noun} {self.code()}",
            f"the {made} {noun}",
            f"{noun} {made}",
            f"the {r.choice(self.words)} {r.choice(self.words)} {noun}",
            f"the {noun} {r.choice(self.words).capitalize()} {r.choice(self.words).capitalize()}",
            made,
            f"{made} {r.choice(GREEK)}",
            f"{r.choice(self.words)}-{r.choice(self.words)}-{r.randrange(100)}",
            " ".join(r.choices(self.words, k=r.randrange(2, 6))),
            " ".join(r.choices(self.words, k=r.randrange(2, 6))).upper(),
            r.choice("._").join(r.choices(self.words, k=r.randrange(2, 4))),
        )[form]

    def neighbour(self, entity: str) -> str:
        """Return a name that differs from `entity` in one word or one digit."""
        r = self.random
        words = entity.split()
        i = r.randrange(len(words))
        if words[i].isdigit():
            words[i] = str(r.randrange(1, 10 ** len(words[i])))
        elif len(words) == 1 or words[i] == "the":
            return f"{entity} {r.choice(GREEK)}"
        else:
            words[i] = self.made_up().capitalize() if words[i][0].isupper() else r.choice(self.words)
        return " ".join(words)

    def person(self) -> str:
        r = self.random
        parts = [self.made_up().capitalize() for _ in range(r.choice((1, 2, 2, 2, 3)))]
        if len(parts) > 1 and r.random() < 0.15:
            parts[0] = r.choice(("Dr", "Ms", "Mr", "Prof.", "Sister", "Old"))
        return " ".join(parts)

    def code(self) -> str:
        r = self.random
        letters = "".join(r.choice(LETTERS) for _ in range(r.randrange(1, 4)))
        digits = str(r.randrange(10 ** r.randrange(1, 5)))
        forms = (f"{letters}-{digits}", f"{letters}{digits}", f"{digits}{letters}", f"{letters}/{digits}")
        return r.choice((*forms, f"{letters}+{r.getrandbits(16):04X}"))

    def date(self) -> str:
        r = self.random
        year, month, day = r.randrange(1800, 2100), r.randrange(12), r.randrange(1, 29)
        return (
            f"{day} {MONTHS[month]} {year}",
            f"{MONTHS[month]} {day}, {year}",
            f"{year}-{month + 1:02d}-{day:02d}",
            f"{day:02d}.{month + 1:02d}.{year}",
            f"{MONTHS[month]} {year}",
            f"{MONTHS[month]} {day}",
        )[r.randrange(6)]

    def value(self, kind: str) -> str:
        """Return a value of a kind named in `relations.txt`."""
        r = self.random
        drawn: dict[str, Callable[[], str]] = {
            "digits": lambda: "".join(str(r.randrange(10)) for _ in range(r.randrange(2, 11))),
            "number": lambda: r.choice(
                (f"{r.uniform(0, 999):.1f}", f"{r.randrange(1000, 10**6):,}", f"{r.random():.3f}")
            ),
            "code": self.code,
            "hex": lambda: f"{r.getrandbits(4 * r.randrange(4, 9)):x}",
            "uuid": lambda: str(UUID(int=r.getrandbits(128))),
            "date": self.date,
            "time": lambda: f"{r.randrange(24):02d}:{r.randrange(60):02d}",
            "amount": lambda: r.choice("$€£") + f"{r.randrange(1, 10**5):,}",
            "name": self.person,
            "company": lambda: f"{self.made_up().capitalize()} {r.choice(('Ltd', '& Sons', 'Works', 'Group', 'Inc'))}",
            "word": lambda: r.choice((r.choice(self.words), self.made_up(), self.made_up().capitalize())),
            "pair": lambda: f"{self._term()} {self._term()}",
            "place": lambda: r.choice(
                (
                    self.made_up().capitalize(),
                    f"{self.made_up().capitalize()} {r.choice(('Bay', 'Hill', 'Street', 'End', 'Cross'))}",
                )
            ),
            "version": lambda: ".".join(str(r.randrange(30)) for _ in range(r.randrange(2, 4))),
            "address": lambda: ".".join(str(r.randrange(256)) for _ in range(4)),
        }
        return drawn[kind]()

    def _term(self) -> str:
        return self.random.choice(self.words) if self.random.random() < 0.7 else self.made_up()
