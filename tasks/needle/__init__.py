"""Needle in a haystack: facts in ordinary text, with boilerplate, distractors and newer versions.

    e0   ... the old value. The access code of gate Vorlen 41 is 2093318. It is an error to ...
    e1   ... This Licence does not grant permission ...
    e2   ... are ignored. The access code of gate Tormek 41 is 8120567. Note that ...         <- one word changed
    e3   ... iterates over it. The access code of gate Vorlen 41 is 7365020. If the file ...  <- supersedes e0
    q0   The access code of gate Vorlen 41 is ___           -> 7365020   evidence {e3}   stale {e0}   wording event
    q0'  The keypad that unlocks gate Vorlen 41 expects ___ -> 7365020   the same, wording reworded

| kind | what it asks |
|---|---|
| lexical | the question repeats the words of the needle |
| paraphrase | needle and question share the entity only; distractors have the needle's template |
| boilerplate | the needle stands in a block of licence text that repeats with other values in its slot |
| multi | all needles of the haystack have one template; each question asks for one of them |
| updated | the newest of two values; the old one stays in the stream |
| absent | nothing to find, though the entity and its neighbours are spoken of: the answer is `unknown` |
| scoped | the needle, and a rival with another value, in the two sections of the haystack; the question names one |
| latent | needle and question share no word: what is asked for in Kenya was told of Nairobi (tasks.needle.links) |
| forgotten | the event of the needle is to be forgotten before the question: the answer is `unknown` |

What leads astray, besides a value that belongs to nothing (e0 is the needle):

    e0  The access code of gate Vorlen 41 is 7365020.
    d0  The access code of gate Tormek 41 is 8120567.                    neighbour: one word of the entity is another
    d1  On the radio gate Vorlen 41 uses the call sign 5520931.          attribute: another one of the same entity
    d2  Brokers insured vessel Amber Heron under the policy 1190377.     format: nothing in common but the look
    d3  The access code of depot Old Zarun is 6402218.                   block: in the same text as e0, with other slots
    d4  It is wrong that the access code of gate Vorlen 41 is 2093318.   negated

What makes retrieval harder, and what does not: hay is no rival of a fact. Within 256 tokens bm25 and hash_cache find
less with more distractors (0, 4, 16) and in other words, but no less in 16,384 tokens than in 2,048, nor with
boilerplate at 0.9 than at 0. With `slots` (conf/task/needle_crowded.yaml) the boilerplate holds distractors too: then
they find less the longer the haystack is, and the more of it is boilerplate.
"""

from tasks.needle.task import Needle

__all__ = ["Needle"]
