"""What is said of a name, and how it is asked. Data only.

A wording is a prefix to complete and the same question in natural language; a fact is its cloze, a space, the value
and a full stop. The event wordings and the question wordings of a relation share no word that carries meaning (a test).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """`cloze` ends where the value starts, without the space; both hold `{name}` once."""

    cloze: str
    text: str


@dataclass(frozen=True)
class Relation:
    """One attribute of a name: how events state it, and how else it can be asked."""

    name: str
    events: tuple[Wording, ...]
    questions: tuple[Wording, ...]


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "code point",
        (
            Wording("The code point of {name} is", "What is the code point of {name}?"),
            Wording("In charts {name} has the code point", "Which code point does {name} have in charts?"),
            Wording("As code point of {name} charts print", "What do charts print as code point of {name}?"),
        ),
        (
            Wording("On a keyboard {name} is typed as", "As what is {name} typed on a keyboard?"),
            Wording("A font keeps its drawing of {name} at", "Where does a font keep its drawing of {name}?"),
            Wording("In a text file {name} is encoded as", "As what is {name} encoded in a text file?"),
        ),
    ),
    Relation(
        "successor",
        (
            Wording("The successor of {name} is", "What is the successor of {name}?"),
            Wording("In sorted lists {name} has the successor", "Which successor does {name} have in sorted lists?"),
            Wording("As successor of {name} lists show", "What do lists show as successor of {name}?"),
        ),
        (
            Wording("Immediately after {name} comes", "What comes immediately after {name}?"),
            Wording("The place next to {name} is taken by", "By what is the place next to {name} taken?"),
            Wording("Whoever leafs on from {name} arrives at", "Where does one arrive who leafs on from {name}?"),
        ),
    ),
)
