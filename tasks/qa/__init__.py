"""Your own events and questions, as JSON lines: `+task=qa task.path=FILE`.

    {"format": "memory_bench episodes 1", "name": "kitchen", "version": "1", "licence": "CC0-1.0"}
    {"episode": "kitchen"}
    {"event": "7d1f", "text": "Mara keeps the sourdough starter on the second shelf.", "time": 0}
    {"event": "c95e", "text": "Mara moved the sourdough starter to the cellar.", "time": 1}
    {"question": "kitchen-0", "text": "Where does Mara keep the sourdough starter?", "answers": ["cellar"], "evidence": ["c95e"], "stale": ["7d1f"]}

`tasks/qa/example.jsonl` has every field; `memory_bench.episode_file` says what they mean, and freezes any other task's
episodes in this form.
"""  # noqa: E501 (an example that can be copied: a question is one line)

from tasks.qa.task import Qa

__all__ = ["Qa"]
