"""Text to tokens as a model of `transformers` wants it: behind its first tokens, or in its chat template.

cloze   <s> The access code of gate 17 is
chat    <|im_start|> user \\n ... What is the access code of gate 17? <|im_end|> \\n <|im_start|> assistant \\n
"""

from __future__ import annotations

from typing import Any, Literal, cast

from jinja2 import TemplateError

from memory_bench.errors import BadInput

STYLES = ("cloze", "chat")
ONE_DAY = "26 Jul 2024"
SAME_DAY = f"{{% macro strftime_now(format) %}}{ONE_DAY}{{% endmacro %}}"
"""Stands before a template, some of which print today's date: a prompt of tomorrow would be another one."""


class Prompts:
    """What is put around a prompt, and the tokens of both. `frame_tokens` are those around it.

    Raises BadInput where the tokenizer has no chat template, or one that takes no single message: `typed` asks for a
    prompt without one.
    """

    def __init__(self, tokenizer: Any, style: str, *, model: str, typed: str = "reader.prompt=cloze") -> None:
        if style not in STYLES:
            raise BadInput(f"reader.prompt={style}: expected {' or '.join(STYLES)}")
        self.style = cast(Literal["cloze", "chat"], style)
        self._tokenizer = tokenizer
        self._template = _template(tokenizer, model, typed) if style == "chat" else ""
        self._first = _first_tokens(tokenizer) if style == "cloze" else []
        try:
            self.frame_tokens = len(self.encode("x")) - self.count("x")
        except (TemplateError, ValueError) as error:
            raise BadInput(
                f"the chat template of {model} takes no message of a user alone ({' '.join(str(error).split())}): "
                f"type {typed}"
            ) from error

    def count(self, text: str) -> int:
        return len(self._plain(text))

    def alone(self, text: str) -> list[int]:
        """Return the tokens of a text that is no prompt: behind the first tokens of a cloze, in no template."""
        return [*self._first, *self._plain(text)]

    def encode(self, prompt: str, continuation: str = "") -> list[int]:
        """Return the tokens of a prompt, framed, and of a continuation behind it, written as one text.

        In a chat the answer begins a line of its own: the space that parts a continuation from a cloze is left out.
        """
        if self.style == "cloze":
            return self.alone(prompt + continuation)
        framed: str = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # a thought would end the first line, and with it the answer
            date_string=ONE_DAY,
        )
        return self._plain(framed + continuation.removeprefix(" "))

    def _plain(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens


def _template(tokenizer: Any, model: str, typed: str) -> str:
    try:
        return SAME_DAY + cast(str, tokenizer.get_chat_template())
    except ValueError as error:
        raise BadInput(f"the tokenizer of {model} has no chat template: type {typed}") from error


def _first_tokens(tokenizer: Any) -> list[int]:
    """Return what the tokenizer puts before a text. What some put behind it would end it, and is left out."""
    whole, plain = tokenizer.encode("x"), tokenizer.encode("x", add_special_tokens=False)
    start = next(at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
    return list(whole[:start])
