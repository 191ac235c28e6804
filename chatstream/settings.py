"""What a node is told by its operator: flags, then the environment, then a TOML file, then defaults.

Every wrong setting ends as BadSettings with one line that names the setting.
"""

import difflib
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from chatstream.core.errors import BadSettings
from chatstream.core.limits import Limits

CONFIG_FILE: Final = Path("chatstream.toml")
"""Read from the current directory when no file is named."""
ENV_PREFIX: Final = "CHATSTREAM_"
PARTITIONS_MAX: Final = 1024
"""Each has a table with files of its own open; one process has no use for more."""


class Address(msgspec.Struct, frozen=True):
    """Where to listen. port 0: one that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_everywhere(self) -> bool:
        """All of the machine's addresses, so none that another node could be told."""
        return self.host in ("", "0.0.0.0", "::")


class Settings(BaseSettings):
    """The settings of a node. The docstrings below are the documentation; README.md lists them."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    config: Path | None = None
    """The TOML file; default: chatstream.toml in the current directory, when it is there."""
    listen: str = "127.0.0.1:8080"
    """host:port for HTTP; port 0 takes a free one. Beyond loopback only with no_auth."""
    no_auth: bool = False
    """Listen beyond loopback although nobody has to log in."""
    allow_host: Annotated[tuple[str, ...], NoDecode] = ()
    """Names under which the node may be called beside loopback ones (the Host header); comma-separated in the environment."""
    allow_origin: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may use this node, like https://chat.example; comma-separated in the environment."""
    cors_origin: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may use this node and read its answers (CORS); comma-separated in the environment. Off by default:
    nobody has to log in, so such a page reads and writes every conversation."""
    advertise: str = ""
    """The URL under which other nodes reach this one; default: made from listen."""
    data: Path = Path("data")
    """Directory of the tables, the node's id and, without Kafka, the log. Below the current directory: two projects do not
    meet in it by accident, it is seen, and removing it is how to start afresh."""
    bootstrap_servers: str = ""
    """host:port[,…] of Kafka brokers; empty: the embedded log in the data directory."""
    librdkafka: dict[str, str] = {}
    """Further librdkafka properties (`-X name=value`); in the environment CHATSTREAM_LIBRDKAFKA__SASL_PASSWORD and so on."""
    create_topics: bool = True
    """Create topics that are missing on Kafka."""
    topics: Path | None = None
    """A topics.yaml of your own; default: the one that comes with chatstream."""
    partitions: int = 16
    """Embedded log: how many partitions it is made with; fixed for life. On Kafka the topics say it."""
    fsync: bool = False
    """Embedded log: sync every batch to the disk, so that a loss of power loses nothing. A killed process never does."""
    responder: str = ""
    """`offline`, `anthropic[:MODEL]` or `package.module:name`; default: anthropic with ANTHROPIC_API_KEY set, else offline."""
    system: str = ""
    """The system prompt, or @FILE to read it from a file."""
    max_tokens: int = 8192
    """Longest reply the anthropic responder asks for, in tokens."""
    drain: float = 0.0
    """Seconds that running model calls get to finish at SIGTERM; what is not finished is answered after the next start, or
    by the next owner. 0: they take over at once."""
    erase_idle_days: float = 0.0
    """Erase sessions in which nothing happened for so many days, parts of a day included. 0: sessions are kept for ever."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    limits: dict[str, float] = {}
    """core.limits.Limits by name; what is not named keeps its default."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the interface names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First wins: flags, environment, TOML."""
        assert isinstance(init_settings, InitSettingsSource)
        named = init_settings.init_kwargs.get("config")
        return init_settings, env_settings, InitSettingsSource(settings_cls, read_toml(named))

    @field_validator("allow_host", "allow_origin", "cors_origin", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("cors_origin")
    @classmethod
    def _cors(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
                raise ValueError("is an origin like https://chat.example, without a path; all of them (*) cannot be named")
        return value

    @field_validator("librdkafka", mode="before")
    @classmethod
    def _properties(cls, value: object) -> object:
        # Environment names have no dots and librdkafka's properties no underscores; TOML has numbers and booleans.
        if not isinstance(value, Mapping):
            return value
        return {str(name).replace("_", "."): _property(each) for name, each in value.items()}

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        return str(parse_address(value))

    @field_validator("advertise")
    @classmethod
    def _advertise(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/")):
            raise ValueError("is a URL like http://chat-1.internal:8080, without a path")
        return value.rstrip("/")

    @field_validator("max_tokens")
    @classmethod
    def _max_tokens(cls, value: int) -> int:
        if value < 1:
            raise ValueError("is at least 1")
        return value

    @field_validator("partitions")
    @classmethod
    def _partitions(cls, value: int) -> int:
        if not 1 <= value <= PARTITIONS_MAX:
            raise ValueError(f"is 1 to {PARTITIONS_MAX}")
        return value

    @field_validator("drain")
    @classmethod
    def _drain(cls, value: float) -> float:
        if not 0 <= value <= 3600:
            raise ValueError("is between 0 and 3600 seconds")
        return value

    @field_validator("erase_idle_days")
    @classmethod
    def _idle(cls, value: float) -> float:
        if not 0 <= value <= 36_500:
            raise ValueError("is between 0 and 36500 days")
        return value

    @field_validator("limits")
    @classmethod
    def _limits(cls, value: dict[str, float]) -> dict[str, float]:
        make_limits(value)
        return value

    @property
    def address(self) -> Address:
        """`listen`, taken apart."""
        return parse_address(self.listen)

    def make_limits(self) -> Limits:
        """The limits with these settings' values."""
        idle = {"erase_idle_days": self.erase_idle_days} if self.erase_idle_days else {}
        return make_limits({**self.limits, **idle})

    def url(self, port: int) -> str:
        """Under which others reach this node. port: the one that is listened on, which listen may have left open."""
        if self.advertise:
            return self.advertise
        host = socket.gethostname() if self.address.is_everywhere else self.address.host
        return f"http://{Address(host, port)}"


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force. flags: those that were given, by field name. Raises BadSettings with one line."""
    given = dict(flags or {})
    given.setdefault("config", os.environ.get(f"{ENV_PREFIX}CONFIG") or None)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise BadSettings(_one_line(error)) from error
    except SettingsError as error:
        raise BadSettings(f"{error}: {error.__cause__}" if error.__cause__ else str(error)) from error
    _check_listen(settings)
    return settings


def read_toml(named: str | Path | None) -> dict[str, Any]:
    """The TOML file's settings; none when no file is named and none is there. Raises BadSettings."""
    path = Path(named) if named is not None else CONFIG_FILE
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError as error:
        if named is None:
            return {}
        raise BadSettings(f"config: there is no file {path}") from error
    except OSError as error:
        raise BadSettings(f"config: cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"config: {path} is not TOML: {error}") from error
    found.pop("config", None)
    return found


def parse_address(raw: str) -> Address:
    """`host:port` taken apart; IPv6 addresses stand in brackets. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:/\[\]]*)):(\d{1,5})", raw)
    if found is None or int(found[3]) > 65535:
        raise ValueError(f"is host:port, like 127.0.0.1:8080 or [::1]:8080, not {raw!r}")
    return Address(found[1] or found[2] or "0.0.0.0", int(found[3]))


def make_limits(given: Mapping[str, float]) -> Limits:
    """Limits with some of their numbers changed. Raises ValueError for an unknown name or a number out of range."""
    kinds: dict[str, type] = Limits.__annotations__
    for name, value in given.items():
        if name not in kinds:
            raise ValueError(f"there is no limit {name!r}{_meant(name, kinds)}")
        if not 0 < value < float("inf") or (kinds[name] is int and value != int(value)):
            raise ValueError(f"{name} is a {'whole ' if kinds[name] is int else ''}number above 0, not {value:g}")
    return Limits(**{name: kinds[name](value) for name, value in given.items()})


def _check_listen(settings: Settings) -> None:
    if not settings.address.is_loopback and not settings.no_auth:
        raise BadSettings(
            f"listen: {settings.listen} can be reached from other machines and nobody has to log in, so whoever reaches it "
            "reads and writes every conversation: keep it on 127.0.0.1, or say --no-auth if that is meant"
        )


def _property(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {name!r}{_meant(name, Settings.model_fields)}"
    if first["type"] == "value_error":
        return f"{name}: {first['ctx']['error']}"
    return f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}"


def _meant(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f", did you mean {close[0]!r}?" if close else ""
