"""Rule cards: a rule said in one sentence, by somebody who has mined it.

In acme/panels, the parameter strict has the default Mode.ALL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tasks.conventions.rules import PACKAGE, Rule

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "home": "{subject} is imported from {value}.",
        "annotation": "the parameter {subject} is annotated {value}.",
        "default": "the parameter {subject} has the default {value}.",
        "alias": "what comes by {subject} is named {value}.",
        "returns": "{subject} is annotated to return {value}.",
        "argument": "the argument {subject} is given {value}.",
        "raises": "the exception that is raised is {value}.",
        "imports": "the package's own modules are imported by {value} names.",
    }
)


@dataclass(frozen=True)
class Card:
    """What an event says of a rule. `everywhere` is the name of what the rule holds in where it has no folder."""

    rule: Rule
    everywhere: str

    @property
    def text(self) -> str:
        where = self.everywhere if self.rule.scope == PACKAGE else self.rule.scope
        return f"In {where}, " + SENTENCES[self.rule.kind].format(subject=self.rule.subject, value=self.rule.value)

    @property
    def scope(self) -> str:
        return self.rule.scope

    def shows(self, rule: Rule) -> bool:
        return rule is self.rule
