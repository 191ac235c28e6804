"""From the setting `--responder` to a responder. Every mistake a person can make in it is one sentence."""

import importlib
import sys
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from chatstream.core.errors import BadSettings, ChatstreamError
from chatstream.respond.offline import OfflineResponder
from chatstream.respond.port import Responder, ResponderFactory
from chatstream.respond.threads import THREADS, Threads
from chatstream.respond.usercode import responder_of

KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"
MAX_TOKENS: Final = 8192
MESSAGE_CHARS: Final = 500
_FORMS: Final = "`offline`, `anthropic`, `anthropic:MODEL` or `package.module:name`"


def default_spec(env: Mapping[str, str]) -> str:
    """`anthropic` when there is a key for it, else `offline`."""
    return "anthropic" if env.get(KEY_VARIABLE, "").strip() else "offline"


def system_text(given: str) -> str:
    """A system prompt as given: `@FILE` is read, anything else stands for itself. Raises BadSettings."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"the system prompt {given[1:]!r} cannot be read: {error}") from error


def load(
    spec: str,
    *,
    system: str = "",
    max_tokens: int = MAX_TOKENS,
    base_url: str | None = None,
    word_delay_s: float = 0.0,
    calls: int = THREADS,
    directory: Path | None = None,
) -> ResponderFactory:
    """A maker of the responder that spec names; user code is imported here, so that mistakes show at the start.

    system, max_tokens, base_url: for `anthropic`. word_delay_s: for `offline`. calls: how many may run at once
    (`--max-calls`); the connections and threads there are for them. directory: where user code is looked for first, the
    current one by default.
    Raises BadSettings.
    """
    name, colon, rest = spec.strip().partition(":")
    if name == "offline" and not colon:
        return partial(OfflineResponder, word_delay_s=word_delay_s)
    if name == "anthropic" and (rest or not colon):
        return partial(_anthropic, model=rest, system=system, max_tokens=max_tokens, base_url=base_url, calls=calls)
    if name in ("offline", "anthropic") or not (name and rest):
        raise BadSettings(f"{spec!r} is no responder: write {_FORMS}")
    if system:
        raise BadSettings(f"a system prompt cannot be given to {spec}: your own code says it to its model itself")
    target = _target(spec, name, rest, directory or Path.cwd())
    return partial(_of_user, target, spec, calls)


def _anthropic(*, model: str, system: str, max_tokens: int, base_url: str | None, calls: int) -> Responder:
    # Here and not above: the SDK behind it costs 1.5 s and 84 MB, and only who uses it pays.
    from chatstream.respond.anthropic import DEFAULT_MODEL, AnthropicResponder

    return AnthropicResponder(
        model=model or DEFAULT_MODEL, system=system, max_tokens=max_tokens, base_url=base_url, calls=calls
    )


def _of_user(target: Any, spec: str, calls: int) -> Responder:
    with _Explained(f"making {spec} failed"):
        return responder_of(target, spec, Threads(calls))


def _target(spec: str, module_name: str, name: str, directory: Path) -> Any:
    if "/" in module_name or module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise BadSettings(f"{spec!r} is no responder: name the module, not its file, as in `{dotted}:{name}`")
    found: Any = _module(module_name, directory)
    for part in name.split("."):
        if not hasattr(found, part):
            raise BadSettings(f"the module {module_name} has no {name!r}{_instead(found)}")
        found = getattr(found, part)
    return found


def _module(name: str, directory: Path) -> ModuleType:
    # As the well-known application servers do: `bot:respond` means the bot.py that lies here.
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    try:
        with _Explained(f"importing {name} failed", absent=name):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise BadSettings(f"there is no module {name!r} in {directory} or among the installed packages") from error


def _instead(found: Any) -> str:
    names = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
    return f"; it has {', '.join(sorted(names)[:10])}" if names else ""


class _Explained:
    """What foreign code raises at import or when made, as BadSettings with the cause's message and its place.

    absent: a module whose own absence (or that of a package above it, but not of one it imports) is left as it is.
    """

    def __init__(self, what: str, *, absent: str = "") -> None:
        self._what = what
        self._absent = absent

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, ChatstreamError) or self._is_missing(error):
            return
        frame = traceback.extract_tb(trace)[-1]
        place = "" if isinstance(error, SyntaxError) else f" ({Path(frame.filename).name}, line {frame.lineno})"
        message = " ".join(str(error).split())[:MESSAGE_CHARS]  # some libraries' messages have many lines
        raise BadSettings(f"{self._what}: {type(error).__name__}: {message}{place}") from error

    def _is_missing(self, error: Exception) -> bool:
        return isinstance(error, ModuleNotFoundError) and f"{self._absent}.".startswith(f"{error.name}.")
