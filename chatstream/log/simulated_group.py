"""The simulated consumer group: members, generations, and who has which partition.

Cooperative and sticky, as the real one is configured: a partition that stays where it is is not touched; one that moves is
revoked first and assigned elsewhere only when its owner gave it up, or when that owner was not heard of for the session
timeout. A member that stood still so long believes it is the owner until it hears otherwise.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from chatstream.core.ids import NodeId, PartitionNo
from chatstream.log.simulated_world import Process

_REBALANCE_S: Final = (0.05, 0.6)
"""From a change in membership to the new assignment."""
_NOTICE_S: Final = (0.001, 3.0)
"""From waking up to hearing from the coordinator that others went on: the heartbeat interval."""


class Member(Protocol):
    """What the coordinator needs of a member; all of it reaches the member through its process, so later or never."""

    @property
    def process(self) -> Process: ...

    def assign(self, partitions: list[PartitionNo]) -> None:
        """These are yours."""

    def revoke(self, partitions: list[PartitionNo], given_up: "GivenUp") -> None:
        """Give these up, then say so."""

    def fence(self) -> None:
        """You were put out; give all up, and join again."""


GivenUp = Callable[[Member, list[PartitionNo]], None]


class Coordinator:
    """The broker's side of the group. generation: grows with every rebalance."""

    def __init__(self, random: Random, partitions: int, session_timeout_s: float) -> None:
        self.generation = 0
        self._random = random
        self._partitions = [PartitionNo(number) for number in range(partitions)]
        self._session_timeout_s = session_timeout_s
        self._members: dict[NodeId, Member] = {}
        self._owners: dict[PartitionNo, NodeId] = {}
        self._leaving: dict[PartitionNo, Member] = {}
        self._wanted: dict[PartitionNo, NodeId] = {}
        self._expired: list[Member] = []
        self._scheduled = False

    def owner(self, partition: PartitionNo) -> NodeId | None:
        """Who has the partition as far as the group is concerned."""
        return self._owners.get(partition)

    def is_member(self, member: Member) -> bool:
        """Does this very member (not an earlier life of the node) belong to the group now?"""
        return self._members.get(member.process.node_id) is member

    def join(self, member: Member) -> None:
        """Come in. A node that was here before and not missed yet gets back what it had, without a rebalance."""
        node_id = member.process.node_id
        back = node_id in self._members
        self._members[node_id] = member
        if not back:
            self._rebalance_soon()
            return
        for partition in [p for p, leaving in self._leaving.items() if leaving.process.node_id == node_id]:
            self._free(partition)
            self._rebalance_soon()
        kept = [partition for partition in self._partitions if self._owners.get(partition) == node_id]
        if kept:
            member.assign(kept)

    def leave(self, member: Member) -> None:
        """Go out; the others take over."""
        if self.is_member(member):
            self._put_out(member.process.node_id)

    def lost_contact(self, process: Process) -> None:
        """No heartbeat any more from this process: after the session timeout it is put out."""
        loop = asyncio.get_running_loop()
        process.silent_since_s = loop.time()
        for member in [member for member in self._members.values() if member.process is process]:
            loop.call_later(self._session_timeout_s, self._expire, member, process.silent_since_s)

    def in_contact(self, process: Process) -> None:
        """A process that stood still goes on; if it was put out meanwhile, it hears so after a while."""
        process.silent_since_s = None
        for member in [member for member in self._expired if member.process is process]:
            self._expired.remove(member)
            process.later(self._random.uniform(*_NOTICE_S), member.fence)

    def shuffle(self) -> None:
        """Move partitions about for no reason."""
        nodes = list(self._members)
        if nodes:
            self._wanted = {partition: self._random.choice(nodes) for partition in self._partitions}
            self._rebalance_soon()

    def _expire(self, member: Member, silent_since_s: float) -> None:
        if member.process.silent_since_s == silent_since_s and self.is_member(member):
            self._put_out(member.process.node_id)
            self._expired.append(member)

    def _put_out(self, node_id: NodeId) -> None:
        del self._members[node_id]
        for partition in [partition for partition, owner in self._owners.items() if owner == node_id]:
            self._free(partition)
        self._rebalance_soon()

    def _free(self, partition: PartitionNo) -> None:
        del self._owners[partition]
        self._leaving.pop(partition, None)

    def _rebalance_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(self._random.uniform(*_REBALANCE_S), self._rebalance)

    def _rebalance(self) -> None:
        """Free partitions are assigned; those that shall move are revoked, and assigned when they are free."""
        self._scheduled = False
        self.generation += 1
        if not self._members:
            return
        assigned: dict[NodeId, list[PartitionNo]] = {node_id: [] for node_id in self._members}
        revoked: dict[NodeId, list[PartitionNo]] = {node_id: [] for node_id in self._members}
        for partition, wanted in self._target().items():
            owner = self._owners.get(partition)
            if owner is None:
                self._owners[partition] = wanted
                self._wanted.pop(partition, None)
                assigned[wanted].append(partition)
            elif owner != wanted and partition not in self._leaving:
                self._leaving[partition] = self._members[owner]
                revoked[owner].append(partition)
        for node_id, member in list(self._members.items()):
            if revoked[node_id]:
                member.revoke(revoked[node_id], self._given_up)
            if assigned[node_id]:
                member.assign(assigned[node_id])

    def _given_up(self, member: Member, partitions: list[PartitionNo]) -> None:
        for partition in partitions:
            if self._leaving.get(partition) is member:
                self._free(partition)
                self._rebalance_soon()

    def _target(self) -> dict[PartitionNo, NodeId]:
        """Spread evenly, moving as few as possible; what a shuffle wants comes first."""
        load: dict[NodeId, list[PartitionNo]] = {node_id: [] for node_id in self._members}
        homeless: list[PartitionNo] = []
        most = -(-len(self._partitions) // len(load))
        for partition in self._partitions:
            node_id = self._wanted.get(partition) or self._owners.get(partition)
            if node_id in load and (partition in self._wanted or len(load[node_id]) < most):
                load[node_id].append(partition)
            else:
                homeless.append(partition)
        for partition in homeless:
            min(load.values(), key=len).append(partition)
        while not self._wanted and len(largest := max(load.values(), key=len)) > len(min(load.values(), key=len)) + 1:
            min(load.values(), key=len).append(largest.pop())
        return {partition: node_id for node_id, partitions in load.items() for partition in partitions}
