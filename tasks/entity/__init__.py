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
| prefix | a name whose family shares its first three tokens |
| anagram | a name whose family has its words in other orders: what a bag of words cannot tell apart |
| near | a name whose family differs from it in one letter of a word |
| collision | a name whose family's words have the same CRC-32 as its own: an attack, tagged `adversarial` |
| alias | a name by another name that one event gives it: two events are the evidence |
| case | a name in capital letters: its tokens are others |
| scoped | what one of several users was told; the others heard other values in the same words |
| readded | a fact that was told, forgotten, and told again with a new value |

The first five are the default. Other names, `task.set=`: see tasks.entity.sets; `collision` is for `synthetic`, and
families of `prefix`, `anagram` and `near` are small among real names, so they ask for fewer `task.distractors`.
`task.exposure=1.5` tells some facts often; all tellings are the evidence, and the tag `told` counts them.

Controls: the n-gram ceiling of all names and the majority by `python -m tasks.entity --set NAME`; that of the asked
ones is the mean of 1 / (1 + `rivals`), where this tag counts the other names of the episode that are told the same
attribute and share the last three tokens; and what a reader knows, by `task.permuted=false control=closed_book`.
"""

from tasks.entity.task import Entity

__all__ = ["Entity"]
