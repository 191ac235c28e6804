"""The dead letters, for the console: looked at, and produced again."""

from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.ids import MessageId, Offset
from chatstream.engine.letters import DeadLetters, Letter
from chatstream.web.conditional import NO_STORE
from chatstream.web.problems import bad_field

SHOWN: Final = 50
LETTERS: Final = web.AppKey("letters", DeadLetters)


class Letters(msgspec.Struct, frozen=True):
    """The body of GET /v1/console/dead-letters: the newest first."""

    data: list[Letter]


class Redriven(msgspec.Struct, frozen=True):
    """The body of a 202. id: under which the command is known."""

    id: MessageId


async def get_letters(request: web.Request) -> web.Response:
    """The newest dead letters of the log, newest first."""
    found = await request.app[LETTERS].newest(SHOWN)
    return web.Response(
        body=msgspec.json.encode(Letters(found)), content_type="application/json", headers={"Cache-Control": NO_STORE}
    )


async def post_redrive(request: web.Request) -> web.Response:
    """Produce one again: 202 once the log has it. id: what the command is called if it brought no id of its own."""
    asked = request.match_info["offset"]
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= 18):
        raise bad_field("offset", "bad-parameter", "offset is the number that the list tells")
    known_as = await request.app[LETTERS].redrive(Offset(int(asked)))
    return web.Response(status=202, body=msgspec.json.encode(Redriven(known_as)), content_type="application/json")
