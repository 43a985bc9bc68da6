"""Real conversations, many sessions long: which turns hold the answer? `+task=locomo task.path=locomo10.json`.

    e0  Caroline: I went to a LGBTQ support group yesterday and it was so powerful.   time: that of its session
    e1  Melanie: That's cool! What did you hear there?
    q0  When did Caroline go to the LGBTQ support group? -> 7 May 2023   evidence {e0}   kind temporal

One episode a conversation, one event a turn, the questions after the last session. The file is the user's: its licence
(CC BY-NC 4.0) does not let it be part of a project that is free for all uses.

| kind | in the file | what it asks |
|---|--:|---|
| multi-hop | 1 | several turns have to be brought together |
| temporal | 2 | when something was, which needs the date of the session |
| open-domain | 3 | what follows with knowledge of the world |
| single-hop | 4 | one turn says it |
| adversarial | 5 | what nobody said, though a turn sounds like it: nothing to find, the answer is `unknown` |

Source: Maharana et al. 2024, Evaluating Very Long-Term Conversational Memory of LLM Agents (arXiv 2402.17753).
"""

from tasks.locomo.task import Locomo

__all__ = ["Locomo"]
