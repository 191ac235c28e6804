"""Settings: who wins, and the one line a wrong one gets."""

from pathlib import Path
from typing import Any

import pytest

from chatstream.core.errors import BadSettings
from chatstream.core.limits import Limits
from chatstream.settings import Settings, load, make_limits, parse_address


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(**flags: Any) -> str:
    with pytest.raises(BadSettings) as caught:
        load(flags)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_serve_loopback_on_the_embedded_log() -> None:
    settings = load()
    assert settings.listen == "127.0.0.1:8080"
    assert settings.bootstrap_servers == ""
    assert settings.data == Path("data")
    assert settings.make_limits() == Limits()


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chatstream.toml").write_text('listen = "127.0.0.1:1"\nresponder = "file"\nsystem = "file"\n')
    monkeypatch.setenv("CHATSTREAM_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("CHATSTREAM_RESPONDER", "environment")
    settings = load({"listen": "127.0.0.1:3"})
    assert (settings.listen, settings.responder, settings.system) == ("127.0.0.1:3", "environment", "file")
    assert settings.drain == 0.0


def test_the_file_may_be_named_by_flag_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(f'responder = "{name}"\n')
    monkeypatch.setenv("CHATSTREAM_CONFIG", "a.toml")
    assert load().responder == "a"
    assert load({"config": "b.toml"}).responder == "b"


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_every_limit_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CHATSTREAM_LIMITS__{name.upper()}", "7")
    limits = load().make_limits()
    assert getattr(limits, name) == 7
    assert type(getattr(limits, name)) is type(getattr(Limits(), name))


def test_limits_of_all_sources_are_merged_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chatstream.toml").write_text("[limits]\ntext_bytes = 1\npage = 1\ncalls = 1\n")
    monkeypatch.setenv("CHATSTREAM_LIMITS__PAGE", "2")
    monkeypatch.setenv("CHATSTREAM_LIMITS__CALLS", "2")
    limits = load({"limits": {"calls": "3"}}).make_limits()
    assert (limits.text_bytes, limits.page, limits.calls, limits.attempts) == (1, 2, 3, Limits().attempts)


def test_librdkafka_properties_come_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chatstream.toml").write_text('[librdkafka]\n"socket.keepalive.enable" = true\n"linger.ms" = 5\n')
    monkeypatch.setenv("CHATSTREAM_LIBRDKAFKA__SASL_PASSWORD", "secret")
    found = load({"librdkafka": {"debug": "cgrp"}}).librdkafka
    assert found == {"socket.keepalive.enable": "true", "linger.ms": "5", "sasl.password": "secret", "debug": "cgrp"}


def test_allowed_hosts_are_comma_separated_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTREAM_ALLOW_HOST", "chat.example, other.example")
    assert load().allow_host == ("chat.example", "other.example")


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.8.8.8:0"])
def test_loopback_addresses_need_no_word(listen: str) -> None:
    assert load({"listen": listen}).listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", ":8080", "[::]:8080", "192.0.2.1:80", "chat.example:80"])
def test_an_address_others_can_reach_needs_no_auth_said_out_loud(listen: str) -> None:
    message = refusal(listen=listen)
    assert "--no-auth" in message
    assert "reads and writes every conversation" in message
    assert load({"listen": listen, "no_auth": True}).no_auth


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "::1:8080", "a b:1", "http://a:1"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    assert "listen: is host:port" in refusal(listen=listen)


def test_an_address_is_written_as_it_was_read() -> None:
    for raw in ("127.0.0.1:65535", "[::1]:0"):
        assert str(parse_address(raw)) == raw


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ({"listne": "x"}, "there is no setting 'listne', did you mean 'listen'?"),
        ({"limits": {"text_byte": 1}}, "there is no limit 'text_byte', did you mean 'text_bytes'?"),
        ({"limits": {"calls": 0}}, "calls is a whole number above 0, not 0"),
        ({"limits": {"calls": 1.5}}, "calls is a whole number above 0, not 1.5"),
        ({"limits": {"turn_s": "inf"}}, "turn_s is a number above 0"),
        ({"limits": {"calls": "many"}}, "limits.calls: "),
        ({"drain": -1}, "drain: is between 0 and 3600 seconds"),
        ({"drain": 3601}, "drain: is between 0 and 3600 seconds"),
        ({"erase_idle_days": -1}, "erase_idle_days: is between 0 and 36500 days"),
        ({"erase_idle_days": 36_501}, "erase_idle_days: is between 0 and 36500 days"),
        ({"max_tokens": 0}, "max_tokens: is at least 1"),
        ({"partitions": 0}, "partitions: is 1 to 1024"),
        ({"partitions": 1025}, "partitions: is 1 to 1024"),
        ({"log_level": "loud"}, "log_level: "),
        ({"advertise": "chat:80"}, "advertise: is a URL"),
        ({"advertise": "http://chat/x"}, "advertise: is a URL"),
        ({"cors_origin": "*"}, "cors_origin: is an origin like https://chat.example"),
        ({"cors_origin": "https://a.example,https://b.example/x"}, "cors_origin: is an origin"),
        ({"config": "missing.toml"}, "config: there is no file missing.toml"),
    ],
)
def test_a_wrong_setting_gets_one_line_that_names_it(flags: dict[str, Any], part: str) -> None:
    assert part in refusal(**flags)


def test_limits_hold_at_their_edge() -> None:
    assert make_limits({"calls": 1}).calls == 1
    assert load({"drain": 3600}).drain == 3600
    assert load({"partitions": 1024}).partitions == 1024
    assert load({"erase_idle_days": 36_500}).make_limits().erase_idle_days == 36_500


def test_idle_sessions_are_kept_unless_the_operator_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().make_limits().erase_idle_days == 0
    monkeypatch.setenv("CHATSTREAM_ERASE_IDLE_DAYS", "0.5")
    assert load().make_limits().erase_idle_days == 0.5


def test_a_file_that_is_not_toml_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "chatstream.toml").write_text("listen = \n")
    assert "chatstream.toml is not TOML" in refusal()


def test_an_environment_value_that_is_not_json_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTREAM_LIMITS", "nonsense")
    assert "limits" in refusal()


def test_foreign_variables_with_our_prefix_do_not_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kubernetes sets these in every pod when a service is called chatstream.
    monkeypatch.setenv("CHATSTREAM_PORT", "tcp://10.0.0.1:8080")
    monkeypatch.setenv("CHATSTREAM_SERVICE_HOST", "10.0.0.1")
    assert load().listen == "127.0.0.1:8080"


def test_the_url_for_others_is_the_advertised_one_or_made_from_listen() -> None:
    assert load({"advertise": "http://chat-1:80/"}).url(8080) == "http://chat-1:80"
    assert load({"listen": "127.0.0.1:0"}).url(4711) == "http://127.0.0.1:4711"
    assert load({"listen": "[::1]:0"}).url(4711) == "http://[::1]:4711"
    assert "0.0.0.0" not in load({"listen": "0.0.0.0:1", "no_auth": True}).url(1)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
