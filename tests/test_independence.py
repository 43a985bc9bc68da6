"""What the reader was trained on shares nothing with what the tasks ask: else it would know what it should read.

A share of eight words in a row is the measure: filled templates, names and values of training and of the tasks have
none in common, and no file that training read is one that a task reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from random import Random

import pytest
from numpy.random import PCG64, Generator

from memory_bench.readers import checkpoint
from memory_bench.readers.training.corpus import read_corpus
from memory_bench.readers.training.names import KINDS, Names
from memory_bench.readers.training.prompts import Mix, PromptFactory
from memory_bench.readers.training.wordings import ENDINGS, OPENINGS, load_grammar
from memory_bench.task_tokens import BUNDLED_TOKENIZER, read_tokenizer
from tasks.entity.names import tokenized, unicode_names
from tasks.entity.templates import ALIAS, BADGE, CODE, EXTENSION, MODULE, POSITION
from tasks.entity.templates import RELATIONS as ENTITY_RELATIONS
from tasks.entity.values import World
from tasks.needle.licences import licence_texts
from tasks.needle.names import VALUES, draw_entity, draw_neighbour
from tasks.needle.sources import Document, python_prose, standard_library
from tasks.needle.templates import RELATIONS, REMARKS

RUN = 8
ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "training" / "corpus.jsonl"
OF_OTHER_SETS = (MODULE, CODE, EXTENSION, POSITION, BADGE, ALIAS)  # of entity
Ngrams = set[tuple[str, ...]]


def ngrams(text: str) -> Iterator[tuple[str, ...]]:
    """Yield every run of eight words; case and punctuation do not tell words apart."""
    words = re.findall(r"\w+", text.lower())
    return zip(*(words[start:] for start in range(RUN)), strict=False)


def all_ngrams(texts: Iterable[str]) -> Ngrams:
    return {ngram for text in texts for ngram in ngrams(text)}


def filled_by_entity(seed: int) -> Iterator[str]:
    """Every name in one wording, and every wording with one name: as an event, as a cloze, as a question."""
    names = tokenized(unicode_names(), read_tokenizer(BUNDLED_TOKENIZER))
    world = World(names, seed=seed, permuted=True)
    wordings = [
        (relation.name, one) for relation in ENTITY_RELATIONS for one in (*relation.events, *relation.questions)
    ]
    for other in OF_OTHER_SETS:
        for wording, name in product((*other.events, *other.questions), names[:: len(names) // 100]):
            yield f"{wording.cloze.format(name=name.text)} {1_000_000 + name.number}."
            yield wording.text.format(name=name.text)
    for at in range(max(len(names), len(wordings))):
        name, (relation, wording) = names[at % len(names)], wordings[(at + seed) % len(wordings)]
        yield f"{wording.cloze.format(name=name.text)} {world.value(name, relation)}."
        yield wording.text.format(name=name.text)


def filled_by_needle(seed: int) -> Iterator[str]:
    """Every wording of every relation, as an event and as a question, with names and values; and the remarks."""
    rng = Generator(PCG64(seed))
    for relation in RELATIONS:
        for wording in (*relation.events, *relation.questions):
            for entity in (first := draw_entity(rng), draw_neighbour(first, rng)):
                for kind in relation.values:
                    yield f"{wording.cloze.format(entity=entity)} {VALUES[kind](rng)}."
                yield wording.text.format(entity=entity)
    for remark in REMARKS:
        yield from (remark.format(value=draw(rng)) for draw in VALUES.values())


def filled_by_training(seed: int, *, held_out: bool) -> Iterator[str]:
    """Facts and questions in the wordings of the grammar; random wordings are cut from the corpus, see hay."""
    random = Random(seed)
    # any list of words serves for names: not what they are, but how they are put together is the grammar's
    factory = PromptFactory(
        load_grammar(held_out=held_out),
        ["..."],
        [word for kind in KINDS.values() for word in kind.split()],
        Mix(random_wording=0.0),
    )
    names = Names(random, factory.words)
    for _ in range(4000):
        fact = factory.fact(random, names)
        yield fact.sentence
        yield f"{factory.ask(random, fact, alone=True)} {fact.value}"


FILLED = {"entity": (filled_by_entity, 2), "needle": (filled_by_needle, 5)}


@cache
def of_the_task(name: str) -> Ngrams:
    filled, seeds = FILLED[name]
    return {ngram for seed in range(seeds) for ngram in all_ngrams(filled(seed))}


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("task", FILLED)
def test_filled_templates_names_and_values_share_no_eight_words(task: str, held_out: bool) -> None:
    of_training = all_ngrams(filled_by_training(0, held_out=held_out))
    assert min(len(of_training), len(of_the_task(task))) > 5000
    assert not of_training & of_the_task(task)


def test_a_template_of_the_task_in_training_would_be_found() -> None:
    planted = "By the way, the keypad that unlocks the vault of Ana Lurk expects 42, says the log."
    assert not all_ngrams([planted]) & of_the_task("needle")  # the names differ
    for task, (filled, _) in FILLED.items():
        own = next(text for text in filled(0) if len(text.split()) > RUN)
        assert all_ngrams([f"{OPENINGS[0]}{own}{ENDINGS[1]}"]) & of_the_task(task)


GRAMMARS = [load_grammar(held_out=held_out) for held_out in (False, True)]


def test_no_relation_and_no_predicate_of_the_task_is_one_of_training() -> None:
    """Names never recur, so what is said of them is compared without them."""
    relations = [relation for grammar in GRAMMARS for relation in grammar.relations]
    of_training = {phrase for relation in relations for phrase in (*relation.nouns, *relation.verbs) if " " in phrase}
    names = {one.name for one in RELATIONS} | {one.name for one in ENTITY_RELATIONS}
    clozes = [wording.cloze for one in RELATIONS for wording in (*one.events, *one.questions)]
    clozes += [wording.cloze for one in ENTITY_RELATIONS for wording in (*one.events, *one.questions)]
    predicates = {cloze.rpartition("}")[2].strip() for cloze in clozes}
    assert "has the code point" in predicates
    assert of_training & (predicates | names) == set()


def sources() -> dict[str, dict[str, str]]:
    """Return, for each bundled reader, the path and sha256 of every file that it was trained on."""
    lists = sorted(checkpoint.WEIGHTS.glob("*/sources.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in lists}


def read_by_the_task() -> dict[str, Document]:
    documents = (*standard_library(), *python_prose().documents, *licence_texts().documents)
    return {document.sha256: document for document in documents}


def test_training_read_no_file_that_the_task_reads() -> None:
    read, of_the_task = sources(), read_by_the_task()
    assert "tiny" in read
    assert len(of_the_task) > 500
    for name, files in read.items():
        assert len(files) > 500
        shared = [f"{path} = {of_the_task[sha].name}" for path, sha in files.items() if sha in of_the_task]
        assert shared == [], name


def test_training_read_no_licence_and_no_package_of_python_itself() -> None:
    assert sources()
    packages = {document.name.split("/")[0].removesuffix(".py") for document in standard_library()}
    for files in sources().values():
        assert not {path.split("/")[0] for path in files} & packages
        assert not [path for path in files if re.search(r"licen[sc]e|copying|notice", Path(path).name, re.IGNORECASE)]


def text_of_training() -> Iterator[str]:
    """Yield the texts that training reads: all of them where they lie ready, else those of one package."""
    if CORPUS.exists():
        with CORPUS.open(encoding="utf-8") as lines:
            next(lines)
            yield from (json.loads(line)["text"] for line in lines)
    else:
        yield from (document.text for document in read_corpus(["networkx"]))


def test_the_share_of_hay_that_training_read_is_printed() -> None:
    """Texts about Python resemble each other, so some share is expected; what it is stands in `pytest -s` output."""
    hay = {"prose": python_prose().documents[::20], "licences": licence_texts().documents[::5]}
    runs = {kind: all_ngrams(" ".join(document.words) for document in documents) for kind, documents in hay.items()}
    assert min(map(len, runs.values())) > 1000
    seen: dict[str, Ngrams] = {kind: set() for kind in runs}
    of_the_tasks = {ngram for task in FILLED for ngram in of_the_task(task)}
    of_the_tasks_seen: Ngrams = set()
    for text in text_of_training():
        read = set(ngrams(text))
        for kind, found in runs.items():
            seen[kind] |= read & found
        of_the_tasks_seen |= read & of_the_tasks
    for kind, found in runs.items():
        print(f"{kind}: {len(seen[kind]) / len(found):.2%} of {len(found)} runs of {RUN} words stand in training")
    assert not of_the_tasks_seen
