"""Memories that break a promise about what they keep: files, reopening, kills, bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from memory_bench.errors import BadInput
from memory_bench.events import EventStore
from memory_bench.types import Event, Passage, Query
from tests.faulty.right import Right, breaks


@breaks("what_is_kept_is_found_after_reopening")
class KeepsNothing(Right):
    def keep(self) -> None:
        pass


@breaks("what_is_kept_is_found_after_reopening")
class IndexesWhatWasForgotten(Right):
    """Its settle, after reopening, is made from all that was ever told."""

    def settle(self) -> None:
        if self.path and (ever := self.path.with_suffix(".ever")).exists():
            self.store.put(Event(**row) for row in json.loads(ever.read_text()))

    def forget(self, event_ids: Sequence[str]) -> None:
        if self.path:
            gone = [vars(event) for event in self.store if event.id in event_ids]
            self.path.with_suffix(".ever").write_text(json.dumps(gone))
        super().forget(event_ids)


@breaks("what_is_kept_is_found_after_reopening")
@breaks("nothing_acknowledged_is_lost_by_a_kill")
class BringsGhostsBack(Right):
    """Its file forgets nothing."""

    def __init__(self, *, path: str | None, top_k: int) -> None:
        super().__init__(path=path, top_k=top_k)
        self.ever = EventStore()
        self.ever.put(self.store)

    def write(self, events: Sequence[Event]) -> None:
        self.ever.put(events)
        super().write(events)

    def as_text(self, store: EventStore) -> str:  # noqa: ARG002
        return super().as_text(self.ever)


@breaks("nothing_acknowledged_is_lost_by_a_kill")
class KeepsWhenItIsClosed(Right):
    def keep(self) -> None:
        pass

    def close(self) -> None:
        super().keep()
        super().close()


@breaks("nothing_acknowledged_is_lost_by_a_kill")
class OpensWithEverythingTwice(Right):
    def read(self, query: Query) -> list[Passage]:
        return [passage for passage in super().read(query) for _ in range(2)]


@breaks("a_full_disk_is_said_and_loses_nothing")
class SaysThatItWroteIt(Right):
    def keep(self) -> None:
        with suppress(BadInput):
            super().keep()


@breaks("a_cut_file_is_refused_or_changes_no_answer")
class ReadsWhatIsLeft(Right):
    def rows(self, text: str) -> list[dict[str, Any]]:
        return [json.loads(row) for row in text.partition("\n")[2].splitlines() if row.endswith("}")]

    def as_text(self, store: EventStore) -> str:
        return "\n".join(["events", *(json.dumps(vars(event)) for event in store)])


@breaks("a_cut_file_is_refused_or_changes_no_answer")
class EmptiesWhatItRefuses(Right):
    def rows(self, text: str) -> list[dict[str, Any]]:
        try:
            return super().rows(text)
        except BadInput:
            self.keep()
            raise


@breaks("what_may_not_be_written_is_left_as_it_is")
class TakesTheRightToWrite(Right):
    def keep(self) -> None:
        if self.path:
            self.path.parent.chmod(0o755)
        super().keep()


@breaks("what_was_forgotten_stands_in_no_file")
class KeepsALog(Right):
    """What was ever told stays in a file that it never reads."""

    def write(self, events: Sequence[Event]) -> None:
        if self.path:
            with self.path.with_suffix(".log").open("a") as log:
                log.writelines(f"{event.text}\n" for event in events)
        super().write(events)


@breaks("what_was_forgotten_stands_in_no_file")
class KeepsNothingThatCanBeRead(Right):
    """That no file holds a text once it is forgotten says nothing where none held it before."""

    def as_text(self, store: EventStore) -> str:
        return super().as_text(store).encode().hex()

    def rows(self, text: str) -> list[dict[str, Any]]:
        return super().rows(bytes.fromhex(text).decode())


@breaks("a_second_one_on_its_path_is_refused_or_loses_nothing")
class LetsAnotherWrite(Right):
    """Each writes the file as it knows it."""

    def alone(self, path: Path) -> AbstractContextManager[object]:  # noqa: ARG002
        return nullcontext()


@breaks("its_size_grows_with_what_it_holds")
class NeverShrinks(Right):
    most = 0

    def size_bytes(self) -> int:
        self.most = max(self.most, super().size_bytes())
        return self.most
