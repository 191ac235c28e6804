"""What the client reads is what the node writes, field by field."""

from typing import Any

import msgspec
import pytest

from chatstream.client import results
from chatstream.table import reads
from chatstream.web import acting, cancelling, forking, listing, sending, sessions, state

PAIRS: list[tuple[Any, Any]] = [
    (results.Item, reads.Item),
    (results.Receipt, sending.Receipt),
    (results.Exchange, sending.Exchange),
    (results.Page, sessions.Page),
    (results.Waiting, sessions.Waiting),
    (results.RunningTurn, sessions.RunningTurn),
    (results.Later, sessions.Later),
    (results.Question, sessions.Question),
    (results.Overview, sessions.Overview),
    (results.Listed, listing.Listed),
    (results.SessionsPage, listing.SessionsPage),
    (results.Done, acting.Done),
    (results.Cancelled, cancelling.Cancelled),
    (results.Forked, forking.Forked),
    (results.Written, state.Written),
]


@pytest.mark.parametrize(("read", "written"), PAIRS, ids=lambda kind: kind.__module__.rpartition(".")[2])
def test_every_field_of_an_answer_is_read(read: Any, written: Any) -> None:
    ours = {field.encode_name: field.required for field in msgspec.structs.fields(read)}
    theirs = {field.encode_name: field.required for field in msgspec.structs.fields(written)}
    ours.pop("etag", None)  # of a header
    assert ours == theirs
