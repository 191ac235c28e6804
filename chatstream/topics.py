"""The topics as declared in topics.yaml, compared with the topics as they are. Everything here blocks."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
import yaml

from chatstream.core.errors import BadSettings, LogReplaced, LogUnavailable
from chatstream.core.ids import NodeId
from chatstream.log.kafka_admin import KafkaAdmin, TopicFacts
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Topic
from chatstream.log.sizes import RECORD_BYTES_MAX

TIED: Final = (Topic.MESSAGES, Topic.EVENTS, Topic.REPLIES)
"""A session has the same partition number on these: their counts are equal, and never change."""
PARTITIONS_MAX: Final = 10_000
SEEN_S: Final = 30.0
"""For a change to be shown by the broker that is asked."""
LOOK_S: Final = 0.05
"""Between two looks at what a broker knows."""

Kind = Literal["create", "configure", "refuse"]


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One topic as declared. replication_factor: -1 is the broker's default. config: Kafka's own names."""

    partitions: int = 16
    replication_factor: int = -1
    config: dict[str, str] = {}


Declared = dict[Topic, Declaration]


class Step(msgspec.Struct, frozen=True):
    """One difference. `create` and `configure` are what apply does; `refuse` cannot be changed, sentence says why."""

    kind: Kind
    topic: Topic
    sentence: str
    config: dict[str, str] = {}


class _Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    partitions: int | None = None
    replication_factor: int | None = None
    config: dict[str, str | int | float | bool] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topics: dict[str, _Raw | None]
    defaults: _Raw = _Raw()


def default_path() -> Path:
    """The topics.yaml that comes with chatstream: in the installed package, or at the top of the source tree."""
    here = Path(__file__).resolve().parent
    inside = here / "topics.yaml"
    return inside if inside.exists() else here.parent / "topics.yaml"


def load(path: Path | str | None = None) -> Declared:
    """Read a topics.yaml; without a path the one that comes with chatstream. Raises BadSettings."""
    path = Path(path) if path is not None else default_path()
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = msgspec.convert(raw, _File)
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except msgspec.ValidationError as error:
        raise BadSettings(f"{path}: {error}") from error
    declared = {_topic(name, path): _declaration(found.defaults, each or _Raw()) for name, each in found.topics.items()}
    _check_declared(declared, path)
    return declared


def _topic(name: str, path: Path) -> Topic:
    try:
        return Topic(name)
    except ValueError as error:
        raise BadSettings(f"{path}: chatstream has no topic {name!r}") from error


def _declaration(defaults: _Raw, raw: _Raw) -> Declaration:
    partitions = raw.partitions if raw.partitions is not None else defaults.partitions
    factor = raw.replication_factor if raw.replication_factor is not None else defaults.replication_factor
    return Declaration(
        partitions=16 if partitions is None else partitions,
        replication_factor=-1 if factor is None else factor,
        config={name: _text(value) for name, value in {**defaults.config, **raw.config}.items()},
    )


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _check_declared(declared: Declared, path: Path) -> None:
    missing = [topic.value for topic in Topic if topic not in declared]
    if missing:
        raise BadSettings(f"{path} does not declare {', '.join(missing)}")
    for topic, each in declared.items():
        if not 1 <= each.partitions <= PARTITIONS_MAX:
            raise BadSettings(f"{path}: {topic} has {each.partitions} partitions, it may have 1 to {PARTITIONS_MAX}")
        if each.replication_factor == 0 or each.replication_factor < -1:
            raise BadSettings(f"{path}: {topic} has replication_factor {each.replication_factor}, say -1 or 1 and more")
    if len({declared[topic].partitions for topic in TIED}) > 1:
        counts = ", ".join(f"{topic} {declared[topic].partitions}" for topic in TIED)
        raise BadSettings(f"{path}: these topics need the same number of partitions: {counts}")


def plan(bootstrap_servers: str, declared: Declared, overrides: Mapping[str, str] | None = None) -> list[Step]:
    """What differs between the declaration and the cluster; empty when nothing does. Raises LogUnavailable, BadSettings."""
    return _steps(declared, _facts(_admin(bootstrap_servers, overrides)))


def apply(bootstrap_servers: str, declared: Declared, overrides: Mapping[str, str] | None = None) -> list[Step]:
    """Create what is missing and change what may be changed; returns what was done.

    Raises BadSettings, before anything was done, when something differs that cannot change; LogUnavailable.
    """
    admin = _admin(bootstrap_servers, overrides)
    steps = _steps(declared, _facts(admin))
    _refuse(steps)
    for step in steps:
        each = declared[step.topic]
        if step.kind == "create":
            admin.create(step.topic.value, each.partitions, each.replication_factor, each.config)
        else:
            admin.configure(step.topic.value, step.config)
    _wait_until_seen(admin, declared, steps)
    return steps


def _wait_until_seen(admin: KafkaAdmin, declared: Declared, steps: list[Step]) -> None:
    """A cluster does a thing before all of its brokers show it: wait, so that whoever starts next finds it done."""
    created = [step.topic.value for step in steps if step.kind == "create"]
    if created:
        admin.wait_until_led(created)
    deadline_s = time.monotonic() + SEEN_S
    while steps and _steps(declared, _facts(admin)):
        if time.monotonic() > deadline_s:
            raise LogUnavailable(f"the topics were changed, but after {SEEN_S:.0f} s the cluster does not show it")
        time.sleep(LOOK_S)


def check(
    bootstrap_servers: str,
    declared: Declared,
    overrides: Mapping[str, str] | None = None,
    known_ids: Mapping[Topic, str] | None = None,
    wait_s: float = 0.0,
) -> list[Step]:
    """Refuse a cluster that cannot be worked with; returns the differences that can be lived with (`configure`).

    known_ids: the topics' ids as seen before. wait_s: how long a missing topic may stay so, where somebody has just created
    it: of several brokers, the one that answers may hear of it last. Raises BadSettings for a missing topic or one that
    differs in what cannot change, or that is set so that conversations would be lost, LogReplaced for a topic that was made
    anew, LogUnavailable.
    """
    admin = _admin(bootstrap_servers, overrides)
    deadline_s = time.monotonic() + wait_s
    while True:
        facts = _facts(admin)
        steps = _steps(declared, facts)
        missing = [step.topic.value for step in steps if step.kind == "create"]
        if not missing or time.monotonic() >= deadline_s:
            break
        time.sleep(LOOK_S)
    if missing:
        raise BadSettings(f"these topics do not exist: {', '.join(missing)}; `chatstream topics apply` creates them")
    _refuse(steps)
    lethal = [sentence for topic, found in facts.items() for sentence in dangers(topic, found.config)]
    if lethal:
        raise BadSettings(f"{'; '.join(lethal)}; `chatstream topics apply` sets what topics.yaml declares")
    for topic, known in (known_ids or {}).items():
        if topic in facts and facts[topic].id != known:
            raise LogReplaced(f"{topic} is not the topic that was here before: it was deleted and created again")
    return [step for step in steps if step.kind == "configure"]


def dangers(topic: Topic, config: Mapping[str, str]) -> list[str]:
    """What of a topic's configuration would lose records or never take some: nobody should find that out weeks later."""
    found: list[str] = []
    policy = config.get("cleanup.policy", "")
    if topic is Topic.EVENTS and "delete" in policy:
        found.append(f"{topic} has cleanup.policy={policy}: its records are the conversations, and would be removed in time")
    if topic is Topic.MESSAGES and "compact" in policy:
        found.append(f"{topic} has cleanup.policy={policy}: of each session only the last command would be kept")
    most = config.get("max.message.bytes", "")
    if topic in TIED and most.isdigit() and int(most) < RECORD_BYTES_MAX[topic]:
        found.append(f"{topic} has max.message.bytes={most}, and records may have {RECORD_BYTES_MAX[topic]}")
    return found


def _admin(bootstrap_servers: str, overrides: Mapping[str, str] | None) -> KafkaAdmin:
    settings = KafkaSettings(bootstrap_servers=bootstrap_servers, node_id=NodeId("topics"), overrides=overrides or {})
    admin = KafkaAdmin(settings)
    admin.connect()
    return admin


def _facts(admin: KafkaAdmin) -> dict[Topic, TopicFacts]:
    return {Topic(name): facts for name, facts in admin.facts([topic.value for topic in Topic]).items()}


def _steps(declared: Declared, facts: Mapping[Topic, TopicFacts]) -> list[Step]:
    steps: list[Step] = []
    for topic, each in declared.items():
        found = facts.get(topic)
        steps += [_creation(topic, each)] if found is None else _differences(topic, each, found)
    untied = _untied(declared, facts)
    if untied:
        steps = [step for step in steps if step.kind != "refuse" or step.topic not in TIED]
    return steps + untied


def _creation(topic: Topic, each: Declaration) -> Step:
    copies = "the broker's default number of" if each.replication_factor == -1 else str(each.replication_factor)
    return Step("create", topic, f"create {topic} with {each.partitions} partitions and {copies} replicas", each.config)


def _differences(topic: Topic, each: Declaration, found: TopicFacts) -> list[Step]:
    steps: list[Step] = []
    if found.partitions != each.partitions:
        steps.append(Step("refuse", topic, _partitions_sentence(topic, each.partitions, found.partitions)))
    if each.replication_factor not in (-1, found.replication_factor):
        steps.append(
            Step(
                "refuse",
                topic,
                f"{topic} has {found.replication_factor} replicas and is declared with {each.replication_factor}: "
                "reassign its partitions with Kafka's own tools, or change topics.yaml",
            )
        )
    wrong = {name: value for name, value in each.config.items() if found.config.get(name) != value}
    if wrong:
        said = ", ".join(f"{name} from {found.config.get(name, 'unset')} to {value}" for name, value in wrong.items())
        steps.append(Step("configure", topic, f"change {topic}: {said}", wrong))
    return steps


def _partitions_sentence(topic: Topic, declared: int, found: int) -> str:
    reason = (
        "the number is fixed for life, because sessions would move to other partitions"
        if topic in TIED
        else "chatstream does not change the number of partitions"
    )
    return f"{topic} has {found} partitions and is declared with {declared}: {reason}; set partitions to {found} in topics.yaml"


def _untied(declared: Declared, facts: Mapping[Topic, TopicFacts]) -> list[Step]:
    # A missing topic will be made as declared, so its declared count has to fit the others that exist.
    counts = {topic: facts[topic].partitions if topic in facts else declared[topic].partitions for topic in TIED}
    if len(set(counts.values())) == 1:
        return []
    said = ", ".join(f"{topic} {count}" for topic, count in counts.items())
    sentence = f"these topics need the same number of partitions and would have: {said}"
    if Topic.MESSAGES in facts and counts[Topic.MESSAGES] != counts[Topic.EVENTS] == counts[Topic.REPLIES]:
        sentence += (
            f"; delete chat.messages, make it again with {counts[Topic.EVENTS]} partitions, and run `chatstream adopt`: "
            "what nobody has read in it is lost"
        )
    return [Step("refuse", Topic.MESSAGES, sentence)]


def _refuse(steps: list[Step]) -> None:
    refused = [step.sentence for step in steps if step.kind == "refuse"]
    if refused:
        raise BadSettings("; ".join(dict.fromkeys(refused)))
