"""How the bundled reader is trained: what it is asked, what it is measured with, and that a run can be cut off.

Models, texts and schedules are tiny: that training works is shown, not how well.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from memory_bench import prompt
from memory_bench.__main__ import main
from memory_bench.errors import BadInput
from memory_bench.readers.model import TinyModel
from memory_bench.readers.train import keep_plan
from memory_bench.readers.training.batches import Batch, Batches
from memory_bench.readers.training.evaluation import SIZES, WORDINGS, bits_per_byte, evaluate
from memory_bench.readers.training.evaluation import _draw as draw
from memory_bench.readers.training.names import Names
from memory_bench.readers.training.prompts import UNKNOWN, Mix, PromptFactory
from memory_bench.readers.training.ranks import ALONE, Ranks
from memory_bench.readers.training.reading import Schedule, train_reading
from memory_bench.readers.training.wordings import Grammar, load_grammar
from memory_bench.types import Passage
from tests.readers import random_model, random_slot, reader, shape
from tests.stubs import StubReader

CPU = torch.device("cpu")
WORDS = [f"{onset}{vowel}{coda}" for onset in "bdfgklmnprst" for vowel in "aeiou" for coda in ("nd", "rm", "st", "lk")]
TEXTS = [" ".join(Random(number).choices(WORDS, k=150)) + "." for number in range(12)]
PLAIN = Mix(random_wording=0.0, unknown=0.0, nothing=0.0, updated=0.0, block=0.0)
SCHEDULE = Schedule(
    pieces=[(4, 1.0, 0.5), (2, 0.5, 0.0)], warmup_steps=2, matrix_rate=0.02, other_rate=0.003,
    first_weight=1.0, lm_weight=0.3, log_every=2, checkpoint_every=4, workers=0,
)  # fmt: skip


def factory(mix: Mix | None = None, *, held_out: bool = False) -> PromptFactory:
    return PromptFactory(load_grammar(held_out=held_out), TEXTS, WORDS, mix or Mix())


def batches(*, seed: int = 0, steps: int = 6) -> Batches:
    return Batches([(steps, factory())], seed=seed, tokens=256, lengths={128: 0.5, 256: 0.5}, targets=0.1)


def digest(batch: Batch) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in vars(batch).values())).hexdigest()


def new_model() -> TinyModel:
    """Return a small model as training starts with it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyModel(shape())


# What is asked


def test_a_batch_is_the_same_whatever_came_before_it() -> None:
    forth, back = batches(), batches()
    one = [digest(forth[step]) for step in range(4)]
    other = [digest(back[step]) for step in reversed(range(4))]
    assert one == other[::-1]
    assert len(set(one)) == 4
    assert digest(batches(seed=1)[0]) != one[0]


def test_a_batch_is_the_same_in_another_process() -> None:
    script = "from tests.test_training import batches, digest; print(digest(batches()[2]))"
    environment = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(batches()[2])


def test_targets_are_next_tokens_and_answers_are_spelled_in_full() -> None:
    made = batches()
    for step in range(6):
        batch = made[step]
        assert batch.tokens_BT.numel() == 256
        following = batch.tokens_BT.roll(-1, 1).gather(1, batch.positions_BQ)
        assert torch.equal(following[batch.real_BQ], batch.targets_BQ[batch.real_BQ])
        assert not (batch.answer_BQ & ~batch.real_BQ).any()
        for targets, answer in zip(batch.targets_BQ, batch.answer_BQ, strict=True):
            spelled = made.tokenizer.decode(targets[answer].tolist())
            assert spelled.startswith(" ")
            assert "\n" in spelled
        assert not (batch.first_BQ & ~batch.answer_BQ).any()
        for targets, first in zip(batch.targets_BQ, batch.first_BQ, strict=True):
            assert all(made.tokenizer.decode([token]).startswith(" ") for token in targets[first].tolist())
        others_BQ = batch.real_BQ & ~batch.answer_BQ
        assert others_BQ.any()


def test_a_prompt_has_the_layout_of_the_runner() -> None:
    for number in range(20):
        scene = factory(replace(PLAIN, block=0.5)).draw(Random(number), tokens=300, questions=3, facts=5)
        best_first = [Passage(text) for text in reversed(scene.passages)]
        asked = scene.questions[0][0]
        built = prompt.build(best_first, asked, budget_tokens=10**6, count=lambda text: len(text.split()))
        made = scene.prompt()
        assert made.text.startswith(built.text)
        assert not any("\n" in text for passage in scene.passages for text in (passage, asked))
        lines = [f"{question} {answer}\n" for question, answer in scene.questions]
        assert made.text.endswith("".join(lines))
        assert [made.text[start:end] for start, end in made.answers] == [f" {a}\n" for _, a in scene.questions]


def test_a_prompt_is_about_as_long_as_asked_and_states_every_fact() -> None:
    for number in range(20):
        scene = factory(PLAIN).draw(Random(number), tokens=600, questions=3, facts=6)
        assert 0.7 * 600 < len(scene.prompt().text) / 2.8 < 1.2 * 600
        assert all(any(answer in passage for passage in scene.passages) for _, answer in scene.questions)


def test_of_two_values_the_later_is_the_answer() -> None:
    older_too = 0
    for number in range(200):
        scene = factory(replace(PLAIN, updated=1.0)).draw(Random(number), tokens=0, questions=1, facts=1)
        older, newer = scene.passages
        ((_, answer),) = scene.questions
        assert answer in newer
        older_too += answer in older
    assert older_too <= 10  # by chance: short values


@pytest.mark.parametrize("relatives", [0, 3])
def test_what_is_unknown_is_not_told_though_something_like_it_mostly_is(relatives: int) -> None:
    alike = 0
    for number in range(200):
        random = Random(number)
        made, names = factory(Mix(relatives=relatives)), Names(random, WORDS)
        facts = made._facts(random, names, 6)
        fact = random.choice(facts)
        left = made._without(random, names, facts, fact)
        assert not any(one.entity == fact.entity and one.relation is fact.relation for one in left)
        assert [one for one in left if one in facts] == [one for one in facts if one is not fact]
        alike += any(one.relation is fact.relation or one.entity == fact.entity for one in left)
        scene = factory(replace(PLAIN, unknown=1.0)).draw(random, tokens=0, questions=1, facts=6)
        assert [answer for _, answer in scene.questions] == [UNKNOWN]
    assert alike > 150


def test_a_question_says_which_of_several_facts_it_means() -> None:
    """Where an entity has more than one, a beginning in the event's wording names what is asked for."""
    asked = 0
    for number in range(300):
        random = Random(number)
        made, names = factory(replace(PLAIN, reworded=0.0)), Names(random, WORDS)
        fact = made.fact(random, names)
        question = made.ask(random, fact, alone=False)
        if question in fact.sentence:
            asked += 1
            assert any(words in question for words in (*fact.relation.nouns, *fact.relation.verbs))
    assert asked > 100


def test_no_two_facts_tell_the_same_of_an_entity() -> None:
    """Else a fact could be taken out and its question still be answered."""
    for number in range(50):
        random = Random(number)
        made = factory()
        facts = made._facts(random, Names(random, WORDS), 20)
        told = {(fact.entity.lower(), fact.relation.nouns) for fact in facts}
        assert len(told) == len(facts) == 20


def test_nothing_in_the_context_is_unknown_too() -> None:
    scene = factory(replace(PLAIN, nothing=1.0)).draw(Random(0), tokens=300, questions=3, facts=5)
    assert scene.passages == ()
    assert [answer for _, answer in scene.questions] == [UNKNOWN] * 3


def phrases(grammar: Grammar) -> set[str]:
    return {phrase for relation in grammar.relations for phrase in (*relation.nouns, *relation.verbs)}


def beginnings(grammar: Grammar) -> set[str]:
    """Everything that a question can look like: frames that end with the value are asked as well."""
    return {*grammar.questions, *(f.removesuffix(" {V}") for f in grammar.frames if f.endswith(" {V}"))}


def test_held_out_wordings_are_never_trained_on() -> None:
    trained, held_out = load_grammar(held_out=False), load_grammar(held_out=True)
    assert not set(trained.frames) & set(held_out.frames)
    assert not beginnings(trained) & beginnings(held_out)
    assert not phrases(trained) & phrases(held_out)
    assert len(trained.frames) + len(trained.questions) >= 60
    assert trained.count() >= 300
    assert held_out.count() >= 300


# What the reader is measured with


@pytest.mark.parametrize("name", WORDINGS)
@pytest.mark.parametrize(("tokens", "facts"), SIZES)
def test_a_cell_draws_what_it_says(name: str, tokens: int, facts: int) -> None:
    mix, held_out = WORDINGS[name]
    own = load_grammar(held_out=held_out)
    random = Random(f"{name}/{tokens}/{facts}")
    for _ in range(10):
        text, answer = draw(factory(mix, held_out=held_out), random, tokens, facts, verbatim=mix.reworded == 0)
        *passages, question = text.split("\n")
        stated = any(question in passage for passage in passages)
        if "event" in name or "reworded" in name:
            assert stated is name.startswith("event")
            where = question if name.startswith("reworded") else next(p for p in passages if question in p)
            assert any(phrase.lower() in where.lower() for phrase in phrases(own))
            assert any(answer in passage for passage in passages)
        assert (answer == UNKNOWN) is name.startswith("unknown")
        assert len(text) / 2.8 < max(1.3 * tokens, 60 * facts + 60)


def test_figures_are_shares_of_the_questions_that_were_asked() -> None:
    """The stub reader says unknown to everything that is not about gates."""
    figures = list(evaluate(StubReader(), TEXTS, WORDS, questions=3, seed=0))
    assert [(figure.context_tokens, figure.facts) for figure in figures] == list(SIZES) * len(WORDINGS)
    assert {figure.questions for figure in figures} == {3}
    assert {figure.exact_match for figure in figures if figure.wording.startswith("unknown")} == {1.0}
    assert {figure.exact_match for figure in figures if not figure.wording.startswith("unknown")} == {0.0}


def test_bits_per_byte_of_a_model_without_knowledge_are_those_of_its_vocabulary(tmp_path: Path) -> None:
    model = random_model(pointer=False)
    model.logit_scale.data.zero_()  # every token as likely as every other
    one = reader(model, tmp_path / "flat")
    tokens = [one.encode(text)[:64] for text in TEXTS[:3]]
    spelled = sum(len(one.tokenizer.decode(some[1:]).encode()) for some in tokens)
    expected = 12 * sum(len(some) - 1 for some in tokens) / spelled  # 4,096 tokens
    assert bits_per_byte(one, TEXTS, windows=3, length=64) == pytest.approx(expected, rel=1e-4)


# The steps


def test_rates_rise_once_and_fall_along_straight_lines() -> None:
    shares = [SCHEDULE.share(step) for step in range(1, 7)]
    assert shares == pytest.approx([0.5 * 1.0, 0.875, 0.75, 0.625, 0.5, 0.25])
    assert SCHEDULE.steps == 6
    with pytest.raises(ValueError, match="the pieces end 1 steps before step 7"):
        SCHEDULE.share(7)


def test_each_part_of_a_training_draws_from_its_own_mix() -> None:
    plain, other = factory(PLAIN), factory(replace(PLAIN, unknown=1.0))
    parts, alone = (
        Batches(factories, seed=0, tokens=256, lengths={256: 1.0}, targets=0.1)
        for factories in ([(2, plain), (4, other)], [(4, plain)])
    )
    assert len(parts) == len(alone) == 4
    assert [digest(parts[step]) == digest(alone[step]) for step in range(4)] == [True, True, False, False]


def test_parts_that_do_not_add_up_are_refused_before_anything_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "train.mixes=[[7,{}]]"]) == 2
    assert "train.mixes last 7 steps and train.reading.pieces 10000: make them equal" in capfd.readouterr().err


def test_a_training_goes_on_by_its_own_plan_or_not_at_all(tmp_path: Path) -> None:
    options = {"out": "training", "seed": 0, "train": {"weights": "tiny", "reading": {"first_weight": 1, "workers": 0}}}
    keep_plan(tmp_path, options)
    (tmp_path / "checkpoint.pt").touch()
    other_workers = {**options["train"], "reading": {"first_weight": 1, "workers": 2}}  # type: ignore[dict-item]
    keep_plan(tmp_path, {**options, "train": other_workers})
    other_weight = {**options["train"], "reading": {"first_weight": 2, "workers": 0}}  # type: ignore[dict-item]
    with pytest.raises(BadInput, match=r"begun with another reading: name another folder \(out=training_2\)"):
        keep_plan(tmp_path, {**options, "train": other_weight})
    with pytest.raises(BadInput, match="begun with another seed"):
        keep_plan(tmp_path, {**options, "seed": 1})
    (tmp_path / "plan.json").unlink()
    with pytest.raises(BadInput, match="begun with another seed, weights, reading"):
        keep_plan(tmp_path, options)


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def train(folder: Path, *, rows: int | None = None, ranks: Ranks = ALONE) -> TinyModel:
    """Train for 6 steps, or only until so many rows of the curve are there: as if the machine had gone away then.

    The third row is there before the second checkpoint: a run that goes on does so from the first, after 4 steps.
    """
    folder.mkdir(exist_ok=True)
    model = new_model()
    curve = train_reading(model, batches(), SCHEDULE, device=CPU, folder=folder, ranks=ranks)
    for number, _ in enumerate(curve, start=1):
        if number == rows:
            curve.close()  # type: ignore[attr-defined]
            break
    return model


def test_a_run_that_was_cut_off_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    train(tmp_path / "cut", rows=3)
    kept = torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)
    assert kept["step"] == 4
    assert any(not torch.equal(kept["model"][name], tensor) for name, tensor in whole.state_dict().items())
    resumed = train(tmp_path / "cut")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_the_curve_of_a_run_that_was_cut_off_is_that_of_a_whole_one(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    train(tmp_path / "cut", rows=3)
    train(tmp_path / "cut")
    whole, cut = rows_of(tmp_path / "whole"), rows_of(tmp_path / "cut")
    assert [row["step"] for row in whole] == [2, 4, 6]
    timeless = [{key: value for key, value in row.items() if key != "seconds"} for row in whole]
    assert [{key: value for key, value in row.items() if key != "seconds"} for row in cut] == timeless
    assert sorted(row["seconds"] for row in cut) == [row["seconds"] for row in cut]


def test_a_finished_run_takes_no_further_step(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    before = (tmp_path / "whole" / "checkpoint.pt").read_bytes()
    train(tmp_path / "whole")
    assert (tmp_path / "whole" / "checkpoint.pt").read_bytes() == before
    assert len(rows_of(tmp_path / "whole")) == 3


class OneBatch(Batches):
    """The same batch again and again: a model that learns at all learns it by heart."""

    def __getitem__(self, step: int) -> Batch:
        return super().__getitem__(0)


@pytest.mark.parametrize("pointer", [True, False])
def test_training_lowers_the_loss_of_what_it_sees(pointer: bool, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TinyModel(shape(pointer=pointer), random_slot())
    slot = {name: tensor.clone() for name, tensor in model.state_dict().items() if name.startswith("slot.")}
    schedule = replace(SCHEDULE, pieces=[(80, 1.0, 0.0)], other_rate=0.01, log_every=10)
    same = OneBatch([(80, factory())], seed=0, tokens=128, lengths={128: 1.0}, targets=0.1)
    curve = list(train_reading(model, same, schedule, device=CPU, folder=tmp_path))
    assert curve[-1]["answer_nll"] < 0.3 * curve[0]["answer_nll"]
    assert curve[-1]["lm_nll"] < 0.6 * curve[0]["lm_nll"]
    assert curve[-1]["token_accuracy"] > curve[0]["token_accuracy"]
    assert curve[-1]["tokens"] == 80 * 128
    kept = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("slot.")}
    assert all(torch.equal(kept[name], tensor) for name, tensor in slot.items())  # it is written, not trained
