"""Recursive reading: what was written is an environment outside the prompt, and is looked through by operations.

    find "gate 17"      -> parts 3, 8, 21
    slice 8, 0 to 120   -> "... the access code of gate 17 is 7365 ..."
    bring 8             -> one passage in the prompt, where the memory below would have put four

`rlm` lets the reader choose each operation, `rlm_scripted` has a fixed policy and is its floor. Both stand over another
memory (`over`), which is one of the operations: search.

What the paper does and this does not: there the environment is a Python interpreter and the model writes programs; here
it is a closed set of operations, one a line, so that nothing that a model writes is ever run. There the model's own
text is the answer; here the parts that it brings stand in the same prompt as every memory's passages.

Source: Zhang, Kraska and Khattab, Recursive Language Models (arXiv 2512.24601).
"""

from adapters.rlm.account import Budget
from adapters.rlm.memory import Rlm
from adapters.rlm.scripted import Policy, RlmScripted

__all__ = ["Budget", "Policy", "Rlm", "RlmScripted"]
