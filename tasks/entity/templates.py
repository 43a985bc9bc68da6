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

MODULE = Relation(
    "module",
    (
        Wording("The module of {name} is", "What is the module of {name}?"),
        Wording("In manuals {name} has the module", "Which module does {name} have in manuals?"),
        Wording("As module of {name} manuals print", "What do manuals print as module of {name}?"),
    ),
    (
        Wording("Programs import {name} from", "From where do programs import {name}?"),
        Wording("The source of {name} lies in", "In what does the source of {name} lie?"),
        Wording("Whoever looks for {name} opens", "What does one open who looks for {name}?"),
    ),
)
CODE = Relation(
    "code",
    (
        Wording("The code of {name} is", "What is the code of {name}?"),
        Wording("In registers {name} has the code", "Which code does {name} have in registers?"),
        Wording("As code of {name} registers print", "What do registers print as code of {name}?"),
    ),
    (
        Wording("Librarians abbreviate {name} to", "To what do librarians abbreviate {name}?"),
        Wording("On a map {name} is marked with", "With what is {name} marked on a map?"),
        Wording("The short form of {name} reads", "How does the short form of {name} read?"),
    ),
)
EXTENSION = Relation(
    "extension",
    (
        Wording("The extension of {name} is", "What is the extension of {name}?"),
        Wording("In tables {name} has the extension", "Which extension does {name} have in tables?"),
        Wording("As extension of {name} tables print", "What do tables print as extension of {name}?"),
    ),
    (
        Wording("Files sent as {name} end in", "In what do files sent as {name} end?"),
        Wording("A server knows {name} by the suffix", "By which suffix does a server know {name}?"),
        Wording("Behind the dot {name} is written", "What is written behind the dot of {name}?"),
    ),
)
POSITION = Relation(
    "position",
    (
        Wording("The position of {name} is", "What is the position of {name}?"),
        Wording("In atlases {name} has the position", "Which position does {name} have in atlases?"),
        Wording("As position of {name} atlases print", "What do atlases print as position of {name}?"),
    ),
    (
        Wording("A pilot bound for {name} steers to", "Where does a pilot bound for {name} steer?"),
        Wording("By satellite {name} is found at", "At what is {name} found by satellite?"),
        Wording("On a globe {name} lies under", "Under what does {name} lie on a globe?"),
    ),
)
BADGE = Relation(
    "badge",
    (
        Wording("The badge of {name} is", "What is the badge of {name}?"),
        Wording("In rosters {name} has the badge", "Which badge does {name} have in rosters?"),
        Wording("As badge of {name} rosters print", "What do rosters print as badge of {name}?"),
    ),
    (
        Wording("At the door {name} shows", "What does {name} show at the door?"),
        Wording("Whoever phones {name} dials", "What does one dial who phones {name}?"),
        Wording("The locker of {name} opens with", "With what does the locker of {name} open?"),
    ),
)
# the value is another name, under which a question asks; nobody asks for it
ALIAS = Relation(
    "alias",
    (
        Wording("Another name of {name} is", "What is another name of {name}?"),
        Wording("Some people say for {name} simply", "What do some people simply say for {name}?"),
        Wording("Old papers call {name} also", "What do old papers also call {name}?"),
    ),
    (),
)
