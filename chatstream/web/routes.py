"""Every route of a node, in one table: the server registers from it, /openapi.json is made of it, and the tests that send
everything wrong everywhere walk through it.

To add one, add a Route here, and a row to the README's table of requests. Its handler's docstring is what it is for; its
answers' kinds are the structs that the handler encodes. Then, without more code: it is registered and documented, its path,
parameters and body are tried with everything that their kinds do not allow, and its answers are checked against their kinds.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from chatstream.core.commands import Approve, Cancel, Edit, Erase, Fork, Message, Regenerate, Retry, Update
from chatstream.core.events import AnyEvent
from chatstream.core.limits import USER_BYTES_MAX, Limits
from chatstream.web import (
    acting,
    cancelling,
    cluster,
    erasing,
    events,
    export,
    following,
    forking,
    health,
    history,
    letters,
    listing,
    live,
    openapi,
    pages,
    places,
    sending,
    sessions,
    state,
)
from chatstream.web.bodies import IDEMPOTENCY_KEY, body_bytes_most
from chatstream.web.listing_query import SEARCH_CHARS_MOST
from chatstream.web.offsets import LAST_EVENT_ID
from chatstream.web.route import JSON, TEXT, Answer, Body, Id, Param, Route
from chatstream.web.waiting import PREFER, PREFERENCE_APPLIED

SESSION: Final = "/v1/sessions/{session}"

_Seq = Annotated[str, Meta(pattern="^[0-9]{1,16}$")]
_Limit = Annotated[int, Meta(ge=1)]
_Token = Annotated[str, Meta(pattern="^(-1|now|0{16}_[0-9]{16})$")]
_Statuses = Annotated[
    str,
    Meta(pattern="^((idle|running|waiting|parked|failed)(,(idle|running|waiting|parked|failed))*)?$"),
]
_Prefix = Annotated[str, Meta(pattern="^[A-Za-z0-9._:@~-]{0,200}$")]
_User = Annotated[str, Meta(max_length=USER_BYTES_MAX)]
_Words = Annotated[str, Meta(max_length=SEARCH_CHARS_MOST)]
_Cursor = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$")]
_Tag = Annotated[str, Meta(pattern=r'^(\*|"[^"]+")$')]
_Html = Annotated[str, Meta(description="A page.")]

_SAFE_REPEAT: Final = Param(IDEMPOTENCY_KEY, Id, "makes a repeat safe, as `message_id` or `command_id` in the body", "header")
_KNOWN: Final = Param("If-None-Match", str, "ETags that the client has", "header", is_wish=True)
_OVER: Final = Param("If-Match", _Tag, "the ETag of the value to go over, or `*` for any", "header")
_OFFSET: Final = Param("offset", _Token, "`-1` from the start, `now`, or a token from an answer")
_RESUMED: Final = Param(LAST_EVENT_ID, str, "what a browser sends when it connects again", "header", is_wish=True)

_READ: Final = (404, 410, 421, 503)
_FOLLOW: Final = (410, 421, 503)
_ACT: Final = (404, 408, 409, 410, 413, 415, 421, 422, 503)

_STREAM_HEADERS: Final = (events.NEXT_OFFSET, events.UP_TO_DATE, events.CURSOR)
_NOT_MODIFIED: Final = Answer(304, headers=("ETag",))


def _page(kind: Any) -> tuple[Answer, ...]:
    return (Answer(200, {"text/html": kind}, ("ETag",)), _NOT_MODIFIED)


def _either(status: int, kind: Any, *headers: str) -> tuple[Answer, ...]:
    """Done, or only stored on the log, with the same fields."""
    return (Answer(status, {JSON: kind}, headers), Answer(202, {JSON: kind}))


def _one_of(*names: str) -> dict[str, Any]:
    """At least one of these fields has to be there."""
    return {"anyOf": [{"required": [name]} for name in names]}


def _small(_: Limits) -> int:
    return acting.BODY_BYTES_MOST


def _command(kind: type, *of_path: str) -> Body:
    """A command of a few fields."""
    return Body(kinds={JSON: kind}, most_bytes=_small, of_path=frozenset(of_path))


_FILES: Final[Mapping[str, Any]] = dict.fromkeys((*pages.TYPES.values(), TEXT), str)

ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/healthz", handler=health.healthz, answers=(Answer(200, {JSON: health.Health}),)),
    Route(
        method="GET",
        path="/readyz",
        handler=health.readyz,
        answers=(Answer(200, {JSON: health.Health}), Answer(503, {JSON: health.Health})),
    ),
    Route(method="GET", path="/metrics", handler=health.metrics, answers=(Answer(200, {health.METRICS_TYPE: str}),)),
    Route(
        method="GET",
        path="/openapi.json",
        handler=openapi.get_openapi,
        params=(_KNOWN,),
        answers=(Answer(200, {JSON: dict[str, Any]}, ("ETag",)), _NOT_MODIFIED),
    ),
    Route(
        method="GET",
        path="/v1/sessions",
        handler=listing.get_sessions,
        params=(
            Param("status", _Statuses, "one or more, with commas between"),
            Param("user", _User, "the user of the first message"),
            Param("prefix", _Prefix, "the beginning of the id"),
            Param("q", _Words, "beginnings of words of the title"),
            Param("limit", _Limit | Literal[""], "sessions on a page; at most the limit `page`"),
            Param("cursor", _Cursor, "the `next` of an answer"),
            Param("scope", Literal["", "all", "node"], "the sessions of all nodes, or of this one"),
        ),
        answers=(Answer(200, {JSON: listing.SessionsPage}),),
        refused=(503,),
    ),
    Route(
        method="GET",
        path=SESSION,
        handler=sessions.get_session,
        answers=(Answer(200, {JSON: sessions.Overview}),),
        refused=_READ,
    ),
    Route(
        method="PATCH",
        path=SESSION,
        handler=acting.patch_session,
        params=(_SAFE_REPEAT,),
        body=Body(
            kinds={JSON: Update},
            most_bytes=acting.update_bytes_most,
            is_needed=True,
            also=_one_of("title", "metadata", "system", "model"),
        ),
        answers=_either(200, acting.Done),
        refused=_ACT,
    ),
    Route(
        method="DELETE",
        path=SESSION,
        handler=erasing.delete_session,
        params=(_SAFE_REPEAT,),
        body=_command(Erase),
        answers=(Answer(204), Answer(202, {JSON: erasing.Stored})),
        refused=_ACT,
    ),
    Route(
        method="GET",
        path=SESSION + "/export",
        handler=export.get_export,
        params=(Param("format", Literal["jsonl", "md"], "a message a line, or a document for people"),),
        answers=(Answer(200, dict.fromkeys(export.TYPES.values(), str), ("Content-Disposition",)),),
        refused=_READ,
    ),
    Route(
        method="GET",
        path=SESSION + "/messages",
        handler=sessions.get_messages,
        params=(
            Param("limit", _Limit, "messages on a page; at most the limit `page`"),
            Param("before", _Seq, "the messages right before this seq; not together with `after`"),
            Param("after", _Seq, "the messages right after this seq"),
            _KNOWN,
        ),
        answers=(Answer(200, {JSON: sessions.Page}, ("ETag",)), _NOT_MODIFIED),
        refused=_READ,
    ),
    Route(
        method="POST",
        path=SESSION + "/messages",
        handler=sending.post_message,
        params=(_SAFE_REPEAT, Param(PREFER, str, "`wait=30`: answer when the turn has ended", "header", is_wish=True)),
        body=Body(
            kinds={JSON: Message, TEXT: str}, most_bytes=body_bytes_most, is_needed=True, also=_one_of("text", "content")
        ),
        answers=(
            Answer(200, {JSON: sending.Exchange}, (PREFERENCE_APPLIED,)),
            Answer(202, {JSON: sending.Receipt}, ("Location", PREFERENCE_APPLIED)),
        ),
        refused=(*_ACT, 429),
    ),
    Route(
        method="POST",
        path=SESSION + "/cancel",
        handler=cancelling.post_cancel,
        params=(_SAFE_REPEAT,),
        body=_command(Cancel),
        answers=_either(200, cancelling.Cancelled),
        refused=_ACT,
    ),
    Route(
        method="POST",
        path=SESSION + "/retry",
        handler=acting.post_retry,
        params=(_SAFE_REPEAT,),
        body=_command(Retry),
        answers=_either(200, acting.Done),
        refused=_ACT,
    ),
    Route(
        method="POST",
        path=SESSION + "/regenerate",
        handler=acting.post_regenerate,
        params=(_SAFE_REPEAT,),
        body=_command(Regenerate),
        answers=_either(200, acting.Done),
        refused=_ACT,
    ),
    Route(
        method="POST",
        path=SESSION + "/edit",
        handler=acting.post_edit,
        params=(_SAFE_REPEAT,),
        body=Body(kinds={JSON: Edit}, most_bytes=body_bytes_most, is_needed=True, also=_one_of("text", "content")),
        answers=_either(200, acting.Done),
        refused=(*_ACT, 429),
    ),
    Route(
        method="POST",
        path=SESSION + "/fork",
        handler=forking.post_fork,
        params=(_SAFE_REPEAT,),
        body=_command(Fork),
        answers=_either(201, forking.Forked, "Location"),
        refused=_ACT,
    ),
    Route(
        method="POST",
        path=SESSION + "/approvals/{name}",
        handler=acting.post_approval,
        params=(_SAFE_REPEAT,),
        body=Body(kinds={JSON: Approve}, most_bytes=_small, is_needed=True, of_path=frozenset({"name"})),
        answers=_either(200, acting.Done),
        refused=_ACT,
    ),
    Route(
        method="GET",
        path=SESSION + "/state",
        handler=state.get_state,
        params=(_KNOWN,),
        answers=(Answer(200, {JSON: dict[str, Any]}, ("ETag",)), _NOT_MODIFIED),
        refused=_READ,
    ),
    Route(
        method="GET",
        path=SESSION + "/state/{key}",
        handler=state.get_value,
        params=(_KNOWN,),
        answers=(Answer(200, {JSON: Any}, ("ETag",)), _NOT_MODIFIED),
        refused=_READ,
    ),
    Route(
        method="PUT",
        path=SESSION + "/state/{key}",
        handler=state.put_value,
        params=(_SAFE_REPEAT, _OVER),
        body=Body(kinds={JSON: Any}, most_bytes=body_bytes_most, is_needed=True),
        answers=_either(200, state.Written, "ETag"),
        refused=(*_ACT, 412),
    ),
    Route(
        method="DELETE",
        path=SESSION + "/state/{key}",
        handler=state.delete_value,
        params=(_SAFE_REPEAT, _OVER),
        answers=_either(200, state.Written),
        refused=(*_ACT, 412),
    ),
    Route(
        method="GET",
        path=SESSION + "/events",
        handler=events.get_events,
        params=(
            _OFFSET,
            Param("live", Literal["long-poll", "sse"], "wait for the next events, or go on as a stream; needs an offset"),
            Param("cursor", str, "the `Stream-Cursor` of the answer before", is_wish=True),
            _KNOWN,
            _RESUMED,
        ),
        answers=(
            Answer(200, {JSON: list[AnyEvent]}, ("ETag", *_STREAM_HEADERS), frames=list[AnyEvent] | following.Control),
            Answer(204, headers=_STREAM_HEADERS),
            _NOT_MODIFIED,
        ),
        refused=_FOLLOW,
        has_head=False,
    ),
    Route(
        method="HEAD",
        path=SESSION + "/events",
        handler=events.head_events,
        answers=(Answer(200, headers=(events.NEXT_OFFSET,)),),
        refused=_FOLLOW,
    ),
    Route(
        method="GET",
        path=SESSION + "/live",
        handler=live.get_live,
        params=(_OFFSET, _RESUMED),
        answers=(Answer(200, frames=live.Frame),),
        refused=_FOLLOW,
        has_head=False,
    ),
    Route(
        method="GET",
        path="/v1/cluster",
        handler=cluster.get_cluster,
        params=(Param("scope", Literal["all", "node"], "all partitions, or those of this node"),),
        answers=(Answer(200, {JSON: cluster.ClusterNow}),),
    ),
    Route(
        method="GET",
        path="/v1/console/node",
        handler=history.get_node,
        answers=(Answer(200, {JSON: history.NodeNow}),),
    ),
    Route(
        method="GET",
        path="/v1/console/sessions/{session}",
        handler=places.get_places,
        params=(Param("after", _Seq, "places of the events behind this seq"),),
        answers=(Answer(200, {JSON: places.Inside}),),
        refused=_READ,
    ),
    Route(
        method="GET",
        path="/v1/console/dead-letters",
        handler=letters.get_letters,
        answers=(Answer(200, {JSON: letters.Letters}),),
        refused=(503,),
        needs_log=True,
    ),
    Route(
        method="POST",
        path="/v1/console/dead-letters/{offset}/redrive",
        handler=letters.post_redrive,
        answers=(Answer(202, {JSON: letters.Redriven}),),
        refused=(404, 409, 503),
        needs_log=True,
    ),
    Route(method="GET", path="/", handler=pages.get_chat, params=(_KNOWN,), answers=_page(_Html)),
    Route(method="GET", path="/s/{session}", handler=pages.get_chat, params=(_KNOWN,), answers=_page(_Html)),
    Route(method="GET", path="/console", handler=pages.get_console, params=(_KNOWN,), answers=_page(_Html)),
    Route(method="GET", path="/console/{view:.+}", handler=pages.get_console, params=(_KNOWN,), answers=_page(_Html)),
    Route(
        method="GET",
        path="/static/{version}/{path:.+}",
        handler=pages.get_static,
        params=(_KNOWN,),
        answers=(Answer(200, _FILES, ("ETag",)), _NOT_MODIFIED),
        refused=(404,),
    ),
)
