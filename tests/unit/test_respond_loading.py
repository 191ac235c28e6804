import asyncio
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from chatstream.core.errors import BadSettings, ResponderError, ResponderRefused
from chatstream.core.ids import SessionId
from chatstream.respond.loading import default_spec, load, system_text
from chatstream.respond.offline import OfflineResponder
from chatstream.respond.port import Past, Reply, Responder, Said
from tests.turns import FakeTurn, answer

Write = Callable[..., Responder]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of the user and loads `name` from it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(source: str, name: str = "respond", calls: int = 256) -> Responder:
        (tmp_path / "userbot.py").write_text(textwrap.dedent(source))
        return load(f"userbot:{name}", directory=tmp_path, calls=calls)()

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("userbot"):
            del sys.modules[name]


@pytest.mark.parametrize(
    "source",
    [
        "def respond(turn): return f'you said {turn.text}'",
        "async def respond(turn): return f'you said {turn.text}'",
        "def respond(turn):\n yield 'you said '\n yield turn.text",
        "async def respond(turn):\n yield 'you said '\n yield turn.text",
        "respond = lambda turn: f'you said {turn.text}'",
        "def respond(turn):\n yield 'you said '\n return turn.text",
        "def respond(turn): return iter(['you said ', turn.text])",
        "class Bot:\n def __call__(self, turn): return f'you said {turn.text}'\nrespond = Bot()",
        "class Bot:\n async def __call__(self, turn): return f'you said {turn.text}'\nrespond = Bot()",
        "class respond:\n async def respond(self, turn):\n  yield f'you said {turn.text}'",
        "class respond:\n def respond(self, turn): return f'you said {turn.text}'",
        "class Bot:\n async def respond(self, turn): return f'you said {turn.text}'\nrespond = Bot()",
        "import functools\nasync def f(a, turn):\n yield f'{a} said {turn.text}'\nrespond = functools.partial(f, 'you')",
        "async def f(turn):\n yield f'you said {turn.text}'\nasync def respond(turn): return f(turn)",
    ],
)
async def test_every_shape_of_user_code_answers(code: Write, source: str) -> None:
    assert await answer(code(source), FakeTurn("hello")) == ("you said hello", None)


@pytest.mark.parametrize("start", ["def", "async def"])
async def test_a_function_may_return_a_reply(code: Write, start: str) -> None:
    responder = code(f"from chatstream.respond.port import Reply\n{start} respond(turn): return Reply(text='yes', model='own')")
    assert await answer(responder, FakeTurn()) == ("", Reply(text="yes", model="own"))


@pytest.mark.parametrize("start", ["def", "async def"])
async def test_none_is_an_empty_reply(code: Write, start: str) -> None:
    assert await answer(code(f"{start} respond(turn): return None"), FakeTurn()) == ("", None)


async def test_a_name_inside_a_class_can_be_loaded(code: Write) -> None:
    responder = code("class Bots:\n  def first(turn): return 'first'", "Bots.first")
    assert await answer(responder, FakeTurn()) == ("first", None)


async def test_plain_code_runs_in_one_other_thread(code: Write) -> None:
    source = """
        import threading
        def respond(turn):
            for _ in range(3):
                yield f'{threading.get_ident()} '
    """
    text, _ = await answer(code(source), FakeTurn())
    assert len(set(text.split())) == 1
    assert text.split()[0] != str(threading.get_ident())


async def test_async_code_runs_on_the_event_loop(code: Write) -> None:
    text, _ = await answer(code("import threading\nasync def respond(turn): return str(threading.get_ident())"), FakeTurn())
    assert text == str(threading.get_ident())


async def test_pieces_of_a_plain_generator_come_before_it_has_ended(code: Write) -> None:
    source = """
        import threading
        go_on = threading.Event()
        def respond(turn):
            yield 'first'
            assert go_on.wait(30)
            yield 'second'
    """
    pieces = code(source).respond(FakeTurn())
    assert await anext(pieces) == "first"
    sys.modules["userbot"].go_on.set()
    assert await anext(pieces) == "second"


async def test_a_plain_generator_runs_only_so_far_ahead_and_stops_when_the_turn_is_cancelled(code: Write) -> None:
    source = """
        import threading
        ended = threading.Event()
        made = []
        def respond(turn):
            try:
                for number in range(1_000_000):
                    made.append(number)
                    yield 'word '
            finally:
                ended.set()
    """
    pieces = code(source).respond(FakeTurn())
    await anext(pieces)
    assert isinstance(pieces, AsyncIterator)
    await pieces.aclose()  # type: ignore[attr-defined]  # it is an async generator, which the interface does not promise
    bot = sys.modules["userbot"]
    assert bot.ended.wait(30)
    assert len(bot.made) < 100


async def test_an_async_generator_is_closed_when_the_turn_is_cancelled(code: Write) -> None:
    source = """
        closed = []
        async def respond(turn):
            try:
                yield 'one'
                yield 'two'
            finally:
                closed.append(True)
    """
    pieces = code(source).respond(FakeTurn())
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]  # see above
    assert sys.modules["userbot"].closed == [True]


async def test_no_more_threads_run_than_allowed(code: Write) -> None:
    source = """
        import threading
        go_on = threading.Event()
        def respond(turn):
            assert go_on.wait(30)
            return 'done'
    """
    before = set(threading.enumerate())
    responder = code(source, calls=2)
    answers = [asyncio.create_task(answer(responder, FakeTurn())) for _ in range(3)]
    for _ in range(20):  # turns of the event loop, on which threads are started
        await asyncio.sleep(0)
    assert len(set(threading.enumerate()) - before) == 2
    sys.modules["userbot"].go_on.set()
    assert [text for text, _ in await asyncio.gather(*answers)] == ["done"] * 3


async def test_a_thread_that_hangs_keeps_its_place_after_its_turn_was_cancelled(code: Write) -> None:
    source = """
        import threading
        go_on = threading.Event()
        def respond(turn):
            assert go_on.wait(30)
            return 'done'
    """
    before = set(threading.enumerate())
    responder = code(source, calls=1)
    hanging, waiting = (asyncio.create_task(answer(responder, FakeTurn())) for _ in range(2))
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.wait([hanging])
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(set(threading.enumerate()) - before) == 1
    sys.modules["userbot"].go_on.set()
    assert (await waiting)[0] == "done"


@pytest.mark.parametrize("start", ["def", "async def"])
async def test_an_error_of_user_code_arrives_as_it_is(code: Write, start: str) -> None:
    with pytest.raises(ZeroDivisionError):
        await answer(code(f"{start} respond(turn):\n yield 'half'\n 1 / 0"), FakeTurn())


async def test_sys_exit_in_a_plain_responder_does_not_end_the_node(code: Write) -> None:
    with pytest.raises(ResponderError, match="SystemExit"):
        await answer(code("import sys\ndef respond(turn): sys.exit(1)"), FakeTurn())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def respond(turn): return 42", "gave a int"),
        ("def respond(turn):\n yield b'bytes'", "gave a bytes"),
        ("async def respond(turn):\n yield {'text': 'x'}", "gave a dict"),
        ("async def f(turn): return 'x'\ndef respond(turn): return f(turn)", "async def"),
    ],
)
async def test_other_types_are_refused_with_what_was_given(code: Write, source: str, message: str) -> None:
    with pytest.raises(ResponderRefused, match=message):
        await answer(code(source), FakeTurn())


@pytest.mark.parametrize("start", ["def", "async def"])
async def test_close_of_user_code_is_called(code: Write, start: str) -> None:
    source = f"closed = []\nclass respond:\n def respond(self, turn): return 'x'\n {start} close(self): closed.append(1)"
    await code(source).close()
    assert sys.modules["userbot"].closed == [1]


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("def other(turn): ...", "respond", "has no 'respond'; it has other"),
        ("respond = 42", "respond", "is a int: a responder is a function"),
        ("def respond(): ...", "respond", "must take one argument, the turn"),
        ("def respond(turn, model): ...", "respond", "must take one argument, the turn"),
        ("class respond: ...", "respond", "has no method `respond"),
        ("class respond:\n def __init__(self, key): ...\n def respond(self, turn): ...", "respond", "made without arguments"),
        (
            "class respond:\n def __init__(self): 1 / 0\n def respond(self, turn): ...",
            "respond",
            "ZeroDivisionError.*userbot.py, line 2",
        ),
        ("import no_such_library", "respond", "importing userbot failed: ModuleNotFoundError.*no_such_library"),
        ("from sys import no_such_name", "respond", "importing userbot failed: ImportError"),
        ("x = 1\ny = unknown", "respond", r"NameError: name 'unknown' is not defined \(userbot.py, line 2\)"),
        ("def broken(", "respond", "SyntaxError"),
        ("raise ValueError('two\\n\\n lines')", "respond", "ValueError: two lines"),
    ],
)
def test_mistakes_in_user_code_are_one_sentence(code: Write, source: str, name: str, message: str) -> None:
    with pytest.raises(BadSettings, match=message) as failed:
        code(source, name)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "is no responder: write `offline`"),
        ("onlinee", "is no responder: write `offline`"),
        ("offline:x", "is no responder"),
        ("anthropic:", "is no responder"),
        (":name", "is no responder"),
        ("bot:", "is no responder"),
        ("./bots/mine.py:respond", "as in `bots.mine:respond`"),
        ("no_such_module:respond", "no module 'no_such_module'"),
        ("no_such.module:respond", "no module 'no_such.module'"),
    ],
)
def test_a_wrong_spec_is_told_in_one_sentence(spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(BadSettings, match=message):
        load(spec, directory=tmp_path)


def test_a_system_prompt_for_own_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="system prompt"):
        load("userbot:respond", system="Be kind.", directory=tmp_path)


def test_offline_is_loaded_by_name() -> None:
    assert isinstance(load("offline")(), OfflineResponder)


@pytest.mark.parametrize(
    ("env", "spec"), [({}, "offline"), ({"ANTHROPIC_API_KEY": ""}, "offline"), ({"ANTHROPIC_API_KEY": "sk-x"}, "anthropic")]
)
def test_the_default_is_anthropic_when_there_is_a_key(env: dict[str, str], spec: str) -> None:
    assert default_spec(env) == spec


def test_a_system_prompt_is_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "system.txt"
    file.write_text("Be brief.\n")
    assert system_text("Be kind.") == "Be kind."
    assert system_text(f"@{file}") == "Be brief."
    with pytest.raises(BadSettings, match="cannot be read"):
        system_text(f"@{tmp_path}/none")


@pytest.mark.parametrize("start", ["def", "async def"])
async def test_a_class_may_summarise_too_async_or_not(code: Write, start: str) -> None:
    source = f"""
        class Bot:
            def respond(self, turn): return 'yes'
            {start} compact(self, past): return f'{{len(past.history)}} messages of {{past.session}}'
    """
    responder = code(source, "Bot")
    past = Past(session=SessionId("alice"), system="", model="", history=[Said(role="user", text="one")])
    assert await responder.compact(past) == "1 messages of alice"  # type: ignore[attr-defined]  # this one has it


@pytest.mark.parametrize(
    "source", ["def respond(turn): return 'yes'", "class respond:\n  def respond(self, turn): return 'yes'"]
)
async def test_what_does_not_summarise_has_no_such_method(code: Write, source: str) -> None:
    assert getattr(code(source), "compact", None) is None
