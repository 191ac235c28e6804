"""The fold of one partition's events topic into its table.

Restoring, confirming and gap reading all come through here, so that "what counts" is one piece of code. Rows are staged
and written with the position they stand for in one batch (`flush`): the table may lag the log, never lead it.
"""

import logging
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from chatstream.core import codec
from chatstream.core.claims import (
    INPUT_HEADER,
    Ownership,
    Verdict,
    counts,
    erased_by,
    event_key,
    fold_record,
    read_position,
    seq_of_key,
    session_of_key,
)
from chatstream.core.errors import BadInput
from chatstream.core.events import AnyEvent, ApprovalRequested, SessionErased, Terminal, brought_id, id_of
from chatstream.core.ids import ClaimName, InputPosition, MessageId, Offset, PartitionNo, Seq, SessionId
from chatstream.core.session import Session, evolve, fits
from chatstream.log.port import Record
from chatstream.table import rows, writes
from chatstream.table.port import Change, Table

log = logging.getLogger(__name__)


class Counted(msgspec.Struct, frozen=True, gc=False):
    """An event that counts, as the fold met it."""

    offset: Offset
    event: AnyEvent
    value: bytes


class Projection:
    """One partition's table and how far it is.

    ownership: the claims' fold. next_offset: the first offset not folded yet. restored_to: how far the log went when it was
    looked at last. alarms: events that counted without making sense. more_to_erase: there may be rows under `erasing/` that
    nobody has looked at. cached: how many confirmed heads stay in memory.
    """

    def __init__(self, partition: PartitionNo, table: Table, cached: int) -> None:
        self.partition: Final = partition
        self.table: Final = table
        meta = rows.read_meta(table)
        self.ownership = Ownership() if meta is None else meta.ownership
        self.next_offset = Offset(0) if meta is None else meta.next_offset
        self.restored_to = self.next_offset
        self.alarms = 0
        self.more_to_erase = True
        self._cached = cached
        self._heads: dict[SessionId, Session] = {}
        self._staged_heads: dict[SessionId, Session] = {}
        self._written_heads: dict[SessionId, Session] = {}
        """Of the same sessions, as the table has them."""
        self._staged_ids: dict[tuple[SessionId, MessageId], Seq] = {}
        self._staged: list[Change] = []
        self._written_offset = self.next_offset
        self._claim = (Offset(0), ClaimName(""), Offset(0))

    def session(self, session: SessionId) -> Session:
        """The confirmed head, what is staged included."""
        head = self._heads.get(session)
        if head is None:
            head = self._heads[session] = rows.read_head(self.table, session)
        return head

    def seq_of(self, session: SessionId, message_id: MessageId) -> Seq | None:
        """The seq of the confirmed event that brought an id, what is staged included."""
        staged = self._staged_ids.get((session, message_id))
        return staged if staged is not None else rows.read_message_seq(self.table, session, message_id)

    def fold(self, record: Record) -> tuple[Verdict, Counted | None]:
        """One record further. Raises UnknownFormat when this node is too old for the partition."""
        ownership, verdict = fold_record(self.ownership, record.offset, record.key, record.value, record.headers)
        counted = self._fold_event(record) if verdict == "event" else None
        if verdict == "claimed":
            self._staged.append((rows.claim_key(record.offset), ownership.claim.encode()))
        elif counted is None and verdict in ("event", "ghost"):
            self._fold_ghost(record)
        self.ownership = ownership
        self.next_offset = Offset(record.offset + 1)
        return verdict, counted

    def fold_all(self, records: Iterable[Record]) -> None:
        """Many records further, and flushed."""
        for record in records:
            self.fold(record)
        self.flush()

    def _fold_event(self, record: Record) -> Counted | None:
        assert record.value is not None  # tombstones are ghosts
        try:
            event = codec.read_event(record.value)
        except BadInput as error:
            self._alarm(record.offset, str(error))
            return None
        session = self.session(event.session)
        input_at = _input_of(record)
        brought = brought_id(event)
        known = bool(brought) and self.seq_of(event.session, brought) is not None
        if not counts(session, event, input_at, known):
            return None
        self._check_key(record, event)
        self._stage(session, event, record.value, record.offset, evolve(session, event, input_at))
        return Counted(record.offset, event, record.value)

    def _check_key(self, record: Record, event: AnyEvent) -> None:
        """An event counts by what it says, and its key is only for compaction: one that says something else is an alarm.

        It is kept beside the session's own, so that erasure finds the record all the same.
        """
        assert record.key is not None
        if record.key != event_key(event.session, event.seq, self.ownership.claim):
            self._alarm(record.offset, f"event {event.seq} of {event.session} stands under the key {record.key[:300]!r}")
            self._staged.append((rows.ghost_key(event.session, record.key), b""))

    def confirm(self, event: AnyEvent, value: bytes, offset: Offset, input_at: InputPosition | None, after: Session) -> bool:
        """The writer's own event was acknowledged in its place: stage it. False when it would not count.

        after: evolve(session, event), computed when it was appended. Its id was looked up then, in the table and among
        what was appended before it, and nobody else writes: it is not looked up again.
        """
        session = self.session(event.session)
        if not counts(session, event, input_at, id_known=False):
            return False
        self._stage(session, event, value, offset, after)
        self.next_offset = Offset(offset + 1)
        return True

    def carry(self, position: InputPosition | None, published: Offset | None, offset: Offset) -> None:
        """The writer's own record at `offset`, event or mark, carried these: None where it carried nothing."""
        owner = self.ownership
        if position is not None or published is not None:
            self.ownership = replace(
                owner,
                position=owner.position if position is None else max(owner.position, position),
                published=owner.published if published is None else max(owner.published, published),
            )
        self.next_offset = Offset(offset + 1)

    def _stage(self, before: Session, event: AnyEvent, value: bytes, offset: Offset, after: Session) -> None:
        if not fits(before, event):
            self._alarm(offset, f"{codec.type_name(event)} does not fit session {before.session} after seq {before.last_seq}")
        self._staged += writes.brought(event, value, offset, after)
        # It is over, or waits for somebody: not when another turn ended before its time came.
        if isinstance(event, Terminal | ApprovalRequested | SessionErased) and before.running != after.running:
            self._staged.append((rows.running_key(event.session), None))
        named = id_of(event)
        if named:
            self._staged_ids[event.session, named] = event.seq
        if after.erased or before.copying is not after.copying:
            self.more_to_erase = True
        self._heads[event.session] = after
        self._written_heads.setdefault(event.session, before)
        self._staged_heads[event.session] = after

    def _fold_ghost(self, record: Record) -> None:
        """Ignored, but for its key: when its session is erased, the record has to go too."""
        if record.key is None:
            return
        session = session_of_key(record.key) if record.value is not None else erased_by(record.key, record.headers)
        if session is None:
            return
        if record.value is None:
            self.bury(session, record.key)
            return
        self._staged.append((rows.ghost_key(session, record.key), b""))
        if self.session(session).erased:  # it landed late
            self._erase_more(session)

    def bury(self, session: SessionId, key: bytes) -> None:
        """A tombstone: what its record brought to an erased session goes. A living one's records are nobody's to remove."""
        if not self.session(session).erased:
            return
        if session in self._staged_heads:
            self.flush()  # what is looked for must be there to be found
        self._staged.append((rows.ghost_key(session, key), None))
        seq = seq_of_key(key)
        entry = None if seq is None else rows.read_entry(self.table, session, seq)
        if seq is not None and entry is not None and self.key_of(session, seq, entry.offset) == key:
            self._staged += writes.undone(codec.read_event(entry.value))

    def key_of(self, session: SessionId, seq: Seq, offset: Offset) -> bytes:
        """The key of the record that stands at `offset`. Raises TableBroken."""
        first, name, stop = self._claim
        if not first <= offset < stop:
            first, name, later = rows.read_claim(self.table, offset)
            # Of what is only staged nothing is known yet: the next claim may be in it.
            self._claim = (first, name, self._written_offset if later is None else later)
        return event_key(session, seq, name)

    def _erase_more(self, session: SessionId) -> None:
        self._staged.append((rows.erasing_key(session), b""))
        self.more_to_erase = True

    def _alarm(self, offset: Offset, what: str) -> None:
        self.alarms += 1
        log.error("partition %d, offset %d of chat.events: %s", self.partition, offset, what)

    def flush(self) -> None:
        """Write what is staged, and the position, in one batch. Raises TableBroken."""
        if self.next_offset == self._written_offset:
            return
        for session, after in self._staged_heads.items():
            self._staged += writes.moved(self._written_heads[session], after)
            self._staged.append(rows.write_head(after))
        self._staged.append(rows.write_meta(rows.TableMeta(rows.LAYOUT, self.next_offset, self.ownership)))
        self.table.write(self._staged)
        self._staged = []
        self._staged_heads = {}
        self._written_heads = {}
        self._staged_ids = {}
        self._written_offset = self.next_offset
        if len(self._heads) > self._cached:
            self._heads = {}


def _input_of(record: Record) -> InputPosition | None:
    for name, value in record.headers:
        if name == INPUT_HEADER:
            return read_position(value)
    return None
