"""What a writer has appended and not seen confirmed, in the order it was sent; and what its records carry along."""

from collections import deque
from typing import Final

from chatstream.core import claims
from chatstream.core.events import AnyEvent
from chatstream.core.ids import InputPosition, Offset, SessionId
from chatstream.core.session import Session
from chatstream.engine.surroundings import Pending, Surroundings, Writer

RECORD_OVERHEAD_BYTES: Final = 200
"""Key and headers of a record, roughly: they count towards Limits.unconfirmed_bytes too."""


class Appends:
    """The appends of one writer under one claim.

    made, confirmed: how many so far. size_bytes: of what is not confirmed. Position and published ride on the first
    record after they moved; `carry` them is all that a mark does.
    """

    def __init__(self, writer: Writer, claim: claims.Claim, ownership: claims.Ownership, around: Surroundings) -> None:
        self.made = 0
        self.confirmed = 0
        self.size_bytes = 0
        self._pending: deque[Pending] = deque()
        self._writer = writer
        self._around = around
        self._claim_name = claim.name
        self._claim_header = (claims.CLAIM_HEADER, claim.name.encode())
        self._marks = 0
        self._position = ownership.position
        self._published = ownership.published

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def oldest(self) -> Pending | None:
        """The next to be confirmed."""
        return self._pending[0] if self._pending else None

    def event(
        self, event: AnyEvent, value: bytes, after: Session, input_at: InputPosition | None, position: InputPosition
    ) -> None:
        """Append an event; position is the writer's input position now. Raises LogError when nothing was sent."""
        key = claims.event_key(event.session, event.seq, self._claim_name)
        self._send(key, event, value, after, input_at, position)

    def mark(self, position: InputPosition, in_any_case: bool = False) -> None:
        """Append a mark if position or published moved since a record last carried them. Raises LogError."""
        if in_any_case or position > self._position or self._around.published() > self._published:
            self._marks += 1
            self._send(claims.mark_key(self._claim_name, self._marks), None, b"{}", None, None, position)

    def tombstone(self, session: SessionId, key: bytes) -> None:
        """Append the tombstone of a record of an erased session. It carries nothing along: for the fold it is a ghost.

        Raises LogError when nothing was sent.
        """
        headers = (self._claim_header, (claims.ERASES_HEADER, session.encode()))
        self._append(Pending(self._writer, None, None, None, None, None, None, self._around.clock_s()), key, headers)

    def _send(
        self,
        key: bytes,
        event: AnyEvent | None,
        value: bytes,
        after: Session | None,
        input_at: InputPosition | None,
        position: InputPosition,
    ) -> None:
        headers = [self._claim_header]
        if input_at is not None:
            headers.append((claims.INPUT_HEADER, claims.write_position(input_at)))
        moved = self._moved(position)
        if moved is not None:
            headers.append((claims.POS_HEADER, claims.write_position(moved)))
        published = self._newly_published()
        if published is not None:
            headers.append((claims.PUB_HEADER, b"%d" % published))
        pending = Pending(self._writer, event, value, input_at, after, moved, published, self._around.clock_s())
        self._append(pending, key, tuple(headers))

    def _append(self, pending: Pending, key: bytes, headers: claims.Headers) -> None:
        self.made += 1
        self._pending.append(pending)
        self.size_bytes += len(pending.value or b"") + RECORD_OVERHEAD_BYTES
        self._around.append(pending, key, headers)

    def _moved(self, position: InputPosition) -> InputPosition | None:
        if position <= self._position:
            return None
        self._position = position
        return position

    def _newly_published(self) -> Offset | None:
        published = self._around.published()
        if published <= self._published:
            return None
        self._published = published
        return published

    def confirm(self) -> None:
        """The oldest is confirmed."""
        self.size_bytes -= len(self._pending.popleft().value or b"") + RECORD_OVERHEAD_BYTES
        self.confirmed += 1

    def forget(self) -> None:
        """The writer has ended: let go of it."""
        self._pending.clear()
