"""A model that needs no key and no network, so that every state of a conversation can be shown and tested.

It answers the same to the same turn, word by word, and says what it is. Commands start with `/`; see HELP.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Final

from chatstream.core.errors import BadInput, ResponderError, ResponderRefused
from chatstream.core.events import Usage
from chatstream.core.prompt import SUMMARY
from chatstream.respond import failures
from chatstream.respond.port import Past, Reply, Turn

MODEL: Final = "offline"
SLOW_SECONDS_MAX: Final = 600.0
LONG_WORDS_MAX: Final = 2_000_000
"""About 11 MiB: enough to go past what one event may hold, so that `reply-too-large` can be shown."""
ECHO_CHARS: Final = 200
SUMMARY_CHARS: Final = 40
SLOW_WORDS: Final = 20
WORDS_PER_BREATH: Final = 64
"""Without a delay between words the event loop gets a turn this often; a long answer must not hold it."""
CHARS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English; good enough for a model that costs nothing."""

FAIL_KINDS: Final[dict[str, str]] = {
    "transient": "fails at the first attempt (or the first N: /fail transient N), then answers",
    "always": "fails at every attempt as an overloaded model does, until the attempts are used up",
    "midway": "says half a sentence at the first attempt, then breaks; answers at the second",
    "permanent": "is refused: no further attempt is made",
    "empty": "ends without a word",
    "exception": "raises as a programming mistake does",
    "stall": "says nothing until it is cancelled or timed out",
}

HELP: Final = "\n".join(
    [
        "I am the offline model of chatstream. I understand:",
        "",
        f"- `/slow SECONDS` answers over that time (0 to {SLOW_SECONDS_MAX:.0f})",
        f"- `/long WORDS` answers with that many words (1 to {LONG_WORDS_MAX})",
        "- `/md` a sample of Markdown",
        "- `/seen` how much of the conversation I am shown",
        "- `/remember KEY VALUE`, `/recall KEY`, `/forget KEY` the session's durable state",
        "- `/fail KIND` with KIND one of:",
        *(f"  - `{kind}` {what}" for kind, what in FAIL_KINDS.items()),
        "- `/help` this list",
    ]
)

SAMPLE: Final = """# A sample of Markdown

Text with **bold**, *italic*, `code` and a [link](https://kafka.apache.org/).

```python
def greet(name: str) -> str:
    return f"Hello, {name} & <everyone>!"
```

| topic | what it holds |
|---|---|
| `chat.messages` | commands |
| `chat.events` | the truth |

1. First
2. Second
   - with a point below

> A quotation, to end with.
"""

Sleep = Callable[[float], Awaitable[None]]
Words = Iterable[str]


class OfflineResponder:
    """Deterministic answers, streamed word by word.

    word_delay_s: pause before each word, for demonstrations. sleep: how to pause; tests bring their own.
    """

    def __init__(self, *, word_delay_s: float = 0.0, sleep: Sleep = asyncio.sleep) -> None:
        self._word_delay_s = word_delay_s
        self._sleep = sleep

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """Raises what `/fail` asks for, and nothing else."""
        name, _, rest = turn.text.strip().partition(" ")
        if name == "/fail":
            async for piece in self._fail(turn, rest.split()):
                yield piece
            return
        delay_s, words = self._word_delay_s, _answer(turn, name, rest.strip())
        if name == "/slow" and (seconds := _number(rest, SLOW_SECONDS_MAX)) is not None:
            delay_s, words = seconds / SLOW_WORDS, _numbered(SLOW_WORDS)
        async for spoken in self._speak(turn, words, delay_s):
            yield spoken

    async def compact(self, past: Past) -> Reply:
        """How much was said, and the first and the last of it."""
        first, last = (said.text.removeprefix(SUMMARY)[:SUMMARY_CHARS] for said in (past.history[0], past.history[-1]))
        text = f"{len(past.history)} messages, from “{first}” to “{last}”."
        return Reply(text=text, model=MODEL, usage={"input_tokens": 0, "output_tokens": 0, "estimated": True})

    async def close(self) -> None:
        """Nothing is held."""

    async def _speak(self, turn: Turn, words: Words, delay_s: float) -> AsyncIterator[str | Reply]:
        said = 0
        for count, word in enumerate(words, start=1):
            if delay_s > 0:
                await self._sleep(delay_s)
            elif count % WORDS_PER_BREATH == 0:
                await asyncio.sleep(0)
            said += len(word)
            yield word
            if count % WORDS_PER_BREATH == 0:
                turn.report_usage(_usage(turn, said))
        yield Reply(model=MODEL, stop_reason="end_turn", usage=_usage(turn, said))

    async def _fail(self, turn: Turn, args: list[str]) -> AsyncIterator[str | Reply]:
        kind = args[0] if args else ""
        if kind == "empty":
            return
        if kind == "stall":
            await asyncio.Event().wait()
        if kind == "midway" and turn.attempt == 1:
            yield "This is only half of "
        _raise_failure(kind, turn.attempt, args[1:])
        async for piece in self._speak(turn, _split(_after_failure(kind, turn.attempt)), self._word_delay_s):
            yield piece


def _raise_failure(kind: str, attempt: int, args: list[str]) -> None:
    fails_first = int(args[0]) if args and args[0].isdecimal() else 1
    if kind == "permanent":
        raise ResponderRefused("the offline model was asked to refuse", failure=failures.BAD_REQUEST)
    if kind == "exception":
        raise RuntimeError("the offline model was asked to raise")
    if kind == "always":
        raise ResponderError("the offline model was asked to be overloaded", failure=failures.MODEL_OVERLOADED)
    if kind in ("transient", "midway") and attempt <= fails_first:
        raise ResponderError(f"the offline model was asked to fail at attempt {attempt}", failure=failures.MODEL_ERROR)


def _after_failure(kind: str, attempt: int) -> str:
    if kind in FAIL_KINDS:
        return f"I am the offline model, and I answered at attempt {attempt}."
    return f"`/fail` takes one of: {', '.join(FAIL_KINDS)}."


def _answer(turn: Turn, name: str, rest: str) -> Words:
    if name == "/long":
        words = _number(rest, LONG_WORDS_MAX)
        return _split(_usage_line("/long WORDS", LONG_WORDS_MAX)) if not words else _numbered(int(words))
    return _split(_sentence(turn, name, rest))


def _sentence(turn: Turn, name: str, rest: str) -> str:
    match name:
        case "/md":
            return SAMPLE
        case "/help":
            return HELP
        case "/seen":
            return _seen(turn)
        case "/remember" | "/recall" | "/forget":
            return _state(turn, name, rest)
        case "/slow":
            return _usage_line("/slow SECONDS", SLOW_SECONDS_MAX)
        case _ if name.startswith("/"):
            return f"I am the offline model and do not know `{name[:ECHO_CHARS]}`. Try `/help`."
        case _:
            return _echo(turn.text)


def _echo(text: str) -> str:
    shown = text if len(text) <= ECHO_CHARS else f"{text[:ECHO_CHARS]}…"
    return f"I am the offline model. You said: {shown}"


def _seen(turn: Turn) -> str:
    history = turn.history
    if not history:
        return "I am the offline model. This is the first message I am shown."
    last = next((said.text for said in reversed(history) if said.role == "user"), "")
    return f"I am the offline model. I am shown {len(history)} earlier messages. The last of yours: {last[:ECHO_CHARS]}"


def _state(turn: Turn, name: str, rest: str) -> str:
    key, _, value = rest.partition(" ")
    if not key or (name == "/remember" and not value.strip()):
        return "Write `/remember KEY VALUE`, `/recall KEY` or `/forget KEY`."
    try:
        return _state_done(turn, name, key, value.strip())
    except BadInput as error:
        return f"I cannot: {error}"


def _state_done(turn: Turn, name: str, key: str, value: str) -> str:
    if name == "/remember":
        turn.state.set(key, value)
        return f"I shall remember {key}."
    if name == "/forget":
        turn.state.clear(key)
        return f"I have forgotten {key}."
    if key not in turn.state.keys():  # noqa: SIM118  State is no dict: it has no `in` of its own.
        return f"I remember nothing about {key}."
    found = turn.state.get(key)
    return f"{key}: {found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)}"


def _usage_line(form: str, most: float) -> str:
    return f"Write `{form}` with a number up to {most:.0f}."


def _number(text: str, most: float) -> float | None:
    # Plain decimals only: float() would also take `nan`, `inf` and `1_0`.
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text.strip()) is None:
        return None
    number = float(text)
    return number if number <= most else None


def _split(text: str) -> list[str]:
    """Words with the blanks behind them, so that the pieces put together are the text."""
    return re.findall(r"\s*\S+\s*", text)


def _numbered(words: int) -> Iterator[str]:
    for number in range(1, words + 1):
        yield f"w{number} " if number < words else f"w{number}."


def _usage(turn: Turn, said_chars: int) -> Usage:
    return {
        "input_tokens": -(-len(turn.text) // CHARS_PER_TOKEN),
        "output_tokens": -(-said_chars // CHARS_PER_TOKEN),
        "estimated": True,
    }
