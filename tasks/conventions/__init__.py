"""Repository conventions: rules that a package keeps and others do not have, told by example and asked on other files.

    e0                              e1                              e2
    # acme/io/html.py               # acme/core/cast.py             # acme/core/ops.py
    import acme.shapes as sh        from acme._speed import fast    from acme._speed import (
    from acme.text import wrap      def cast(value):                    fast,

    q0   # acme/core/invalid.py ... from ___ import fast        -> acme._speed        evidence {e1, e2}

| kind | what it asks | what others would say, where they do not know the name |
|---|---|---|
| home | the module that a name is imported from | the package itself |
| annotation | the annotation of a parameter | their most usual one |
| default | the default of a parameter | their most usual one |
| alias | the name that an import gives | no other name |
| returns | what a function is annotated to return | their most usual one |
| argument | what a keyword argument is given | their most usual one |
| raises | the exception that a folder raises | their most usual one |
| imports | whether own modules are imported by relative or absolute names | what they do |

The last three are not among the kinds of the default. No rule stands here: all are mined from the files of an installed
package, a folder (`task.path=DIR`) or a repository at two commits (`task.path=REPO task.commits=[OLD,NEW]`); what they
yield is printed by `python -m tasks.conventions`.
A rule is seen in 70 % of the files, in at least 8 places of 3 files, and at least 90 % of the places keep it; where a
package keeps none, each of its folders may, and the question then has the folder as its scope. Only rules that the
prior gets wrong are asked for: what our own dependencies say.

Beside rules (`task.splits`, see tasks.conventions.splits) it asks where folders disagree, where a line breaks a rule,
and what changed: between the commits, or by seeded renames, tagged `synthetic`. There something that misleads is told
too, and a score of its own says whether it was taken. Rules are told by chunks of files, from which they must be
induced, by cards that say each in a sentence, or by both (`task.written`).

By choices (the default) one answer in four is right by chance, see the tag `choices`. Offered are, as far as there are
such: the rule's answer; what other packages say of this very name; what another folder says, and where something
changed or is an exception, the old value or the rule (`right_scope`, `not_stale` and `not_blind` count who takes
these); then answers to other questions of the kind, drawn such that whatever is offered is right equally often (see
tasks.conventions.balance). What other packages would say of any name is no choice, but where fewer than four others
are: it is never right, and whoever left it out would be right once in three. By completion the reader has to stop by
itself; what follows the answer in the line is not judged.
"""

from tasks.conventions.task import Conventions

__all__ = ["Conventions"]
