"""Multi-token entity recall: names that every Python knows, with values that nobody does.

    e0   The code point of latin small letter a with acute is 119239.
    e1   The code point of latin small letter e with acute is 2579.               <- one word changed
    e2   In sorted lists latin small letter a with acute has the successor 8401.  <- another attribute
    e3   In charts latin small letter a with acute has the code point 5106.       <- supersedes e0
    q0   The code point of latin small letter a with acute is ___       -> 5106   evidence {e3}   stale {e0}
    q0'  On a keyboard latin small letter a with acute is typed as ___  -> 5106   the same, reworded

Names are those of `unicodedata`, without ranges of names that are numbers. Values are real code points, permuted by
the seed: another name's, so that no model can know them. Every event is one fact. An asked name has a family of
distractors, which are told the same attribute in the same words:

| kind | what it asks |
|---|---|
| suffix | a name whose family shares its last three tokens: what an address made of the last n-gram cannot tell apart |
| neighbour | a name whose family differs from it in one word |
| attribute | one of two attributes of the name |
| updated | the newer of two values; the old one stays in the stream, and it is its words that a question repeats |
| forgotten | a fact that was told and then forgotten, while its family stays: the answer is `unknown` |

The n-gram ceiling of all names: `python -m tasks.entity`. That of the asked ones is the
mean of 1 / (1 + `rivals`): this tag counts the other names of the episode that are told the same attribute and share
the last three tokens.

Not here: names of standard-library symbols, names drawn to a length and a depth of their shared part, anagrams,
aliases, planted collisions of hashes, names told more often than others, several users, names never told, and facts
by the million.
"""

from tasks.entity.task import Entity

__all__ = ["Entity"]
