"""A group of two hundred members, some of which always come and go: a case of run.

Each member is a coroutine with a connection of its own that speaks the classic group protocol by
hand, in the last versions before flexible encodings: no client library keeps two hundred members in
one process on two cores. In each round some members leave and as many new ones join; in every other
round some of them vanish without a word, and the group waits until their sessions have run out. The leader of each generation hands every partition to exactly one member, in turn.

What must hold: no partition is claimed by two members in one generation, and none by a member the
leader did not give it to; and whenever nobody comes or goes for a while, all members are in one
generation and own all partitions.
"""

import asyncio
import os
import random
import struct
import time

from harness import Failed, check

MEMBERS = 200
PARTITIONS = 240
SECONDS = 300 if os.environ.get("ODRADEK_LONG") == "1" else 20
CHANGED = 10  # members replaced in a round
VANISHING = 3  # of those, how many vanish in every other round
SESSION_MS = 3000
HEARTBEAT_SECONDS = 0.5
ROUND_SECONDS = 1.0
ROUNDS_BEFORE_QUIET = 6
QUIET_SECONDS = 60  # within which a group nobody touches must be whole

FIND, JOIN, HEARTBEAT, LEAVE, SYNC = 10, 11, 12, 13, 14
VERSIONS = {FIND: 1, JOIN: 5, HEARTBEAT: 3, LEAVE: 1, SYNC: 3}
LOADING, NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16
UNKNOWN_MEMBER, ILLEGAL_GENERATION, REBALANCE, ID_REQUIRED = 25, 22, 27, 79


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def data(content):
    return struct.pack(">i", len(content)) + content


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


NO_STRING = struct.pack(">h", -1)
NO_DATA = struct.pack(">i", -1)


class Reader:
    """Reads an answer from front to end."""

    def __init__(self, content):
        self.content = content
        self.position = 0

    def number(self, shape):
        (value,) = struct.unpack_from(shape, self.content, self.position)
        self.position += struct.calcsize(shape)
        return value

    def take(self, size):
        self.position += max(size, 0)
        return self.content[self.position - max(size, 0) : self.position]

    def string(self):
        return self.take(self.number(">h")).decode()

    def data(self):
        return self.take(self.number(">i"))


class Member:
    """One member: joins, heartbeats, joins again when told to, until it is to end."""

    def __init__(self, crowd):
        self.crowd = crowd
        self.id = ""
        self.generation = -1
        self.owned = frozenset()
        self.connection = None
        self.task = asyncio.ensure_future(self.live())

    async def call(self, api, body):
        reader, writer = self.connection
        head = struct.pack(">hhih", api, VERSIONS[api], 1, -1)
        writer.write(data(head + body))
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        answer = Reader(await reader.readexactly(size))
        answer.number(">i")  # the correlation id: one request at a time is in flight
        answer.number(">i")  # throttle time
        return answer.number(">h"), answer

    async def live(self):
        host, port = self.crowd.address.rsplit(":", 1)
        self.connection = await asyncio.open_connection(host, int(port))
        while True:
            error = await self.join()
            while error == 0:
                await asyncio.sleep(HEARTBEAT_SECONDS * random.uniform(0.7, 1.0))
                error, _ = await self.call(HEARTBEAT, self.identity())
            self.generation, self.owned = -1, frozenset()
            if error == UNKNOWN_MEMBER:
                self.crowd.expelled += 1
                self.id = ""
            elif error in (LOADING, NOT_AVAILABLE, NOT_COORDINATOR):
                await self.find()
            elif error not in (REBALANCE, ILLEGAL_GENERATION, ID_REQUIRED):
                raise Failed(f"member {self.id} was answered error {error}")

    async def find(self):
        """Asking for the coordinator makes the broker create the topic that groups live in."""
        await asyncio.sleep(0.1)
        await self.call(FIND, string(self.crowd.group) + struct.pack(">b", 0))

    def identity(self):
        return (
            string(self.crowd.group)
            + struct.pack(">i", self.generation)
            + string(self.id)
            + NO_STRING
        )

    async def join(self):
        subscription = struct.pack(">h", 0) + array([string(self.crowd.topic)]) + NO_DATA
        error, answer = await self.call(
            JOIN,
            string(self.crowd.group)
            + struct.pack(">ii", SESSION_MS, 30000)
            + string(self.id)
            + NO_STRING
            + string("consumer")
            + array([string("in-turn") + data(subscription)]),
        )
        generation = answer.number(">i")
        answer.string()  # the protocol
        leader = answer.string()
        self.id = answer.string()
        if error != 0:
            return error
        self.generation = generation
        given = []
        if leader == self.id:
            members = []
            for _ in range(answer.number(">i")):
                members.append(answer.string())
                answer.string()
                answer.data()
            self.crowd.plan(generation, members)
            given = [
                string(member) + data(self.crowd.assignment(generation, member))
                for member in members
            ]
        error, answer = await self.call(SYNC, self.identity() + array(given))
        if error == 0:
            self.owned = self.crowd.claim(self, generation, Reader(answer.data()))
        return error

    async def end(self, leaves):
        """Leave, or be gone without a word; then the session has to run out."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self.connection is None:
            return
        writer = self.connection[1]
        if leaves and self.id:
            # What was in flight is answered first; a connection of its own does not wait for it.
            writer.close()
            host, port = self.crowd.address.rsplit(":", 1)
            self.connection = await asyncio.open_connection(host, int(port))
            writer = self.connection[1]
            error, _ = await self.call(LEAVE, string(self.crowd.group) + string(self.id))
            check(error in (0, UNKNOWN_MEMBER), f"leaving was answered error {error}")
        writer.close()


class Crowd:
    def __init__(self, address, topic, alive):
        self.address = address
        self.topic = self.group = topic
        self.alive = alive
        self.members = []
        self.plans = {}  # generation: {member id: partitions}
        self.owners = {}  # (generation, partition): member id
        self.joined = self.left = self.vanished = self.expelled = self.quiet = 0
        self.longest = 0.0

    def plan(self, generation, members):
        check(generation not in self.plans, f"generation {generation} has two leaders")
        check(len(set(members)) == len(members), f"a member is twice in generation {generation}")
        members = sorted(members)
        self.plans[generation] = {
            member: range(index, PARTITIONS, len(members)) for index, member in enumerate(members)
        }

    def assignment(self, generation, member):
        numbers = [struct.pack(">i", p) for p in self.plans[generation][member]]
        return struct.pack(">h", 0) + array([string(self.topic) + array(numbers)]) + NO_DATA

    def claim(self, member, generation, reader):
        """What SyncGroup answered: it must be what the leader of this generation gave."""
        reader.number(">h")
        owned = []
        for _ in range(reader.number(">i")):
            reader.string()
            owned += [reader.number(">i") for _ in range(reader.number(">i"))]
        for partition in owned:
            other = self.owners.setdefault((generation, partition), member.id)
            check(
                other == member.id,
                f"partition {partition} has two owners in generation {generation}",
            )
        check(
            owned == list(self.plans[generation].get(member.id, [])),
            f"generation {generation}: member {member.id} has not what its leader gave it",
        )
        return frozenset(owned)

    def is_whole(self):
        """All members in one generation, all partitions owned, none twice."""
        return (
            len({member.generation for member in self.members}) == 1
            and sum(len(member.owned) for member in self.members) == PARTITIONS
            and len(frozenset().union(*(member.owned for member in self.members))) == PARTITIONS
        )

    def check_members(self):
        check(self.alive(), "the broker ended by itself")
        for member in self.members:
            if member.task.done():
                member.task.result()  # raises what ended it

    async def wait_whole(self):
        started = time.monotonic()
        while not self.is_whole():
            self.check_members()
            if time.monotonic() - started > QUIET_SECONDS:
                owned = frozenset().union(*(member.owned for member in self.members))
                generations = sorted({member.generation for member in self.members})
                raise Failed(
                    f"after {QUIET_SECONDS} s of quiet {PARTITIONS - len(owned)} partitions have"
                    f" no owner; the members are in generations {generations}"
                )
            await asyncio.sleep(0.05)
        self.quiet += 1
        self.longest = max(self.longest, time.monotonic() - started)

    def join(self, count):
        self.members += [Member(self) for _ in range(count)]
        self.joined += count

    async def turn_over(self, vanishing):
        random.shuffle(self.members)
        going, self.members = self.members[:CHANGED], self.members[CHANGED:]
        self.left += CHANGED - vanishing
        self.vanished += vanishing
        self.join(CHANGED)
        await asyncio.gather(*(m.end(i >= vanishing) for i, m in enumerate(going)))

    async def live(self):
        end = time.monotonic() + SECONDS
        try:
            self.join(MEMBERS)
            await self.wait_whole()
            while time.monotonic() < end:
                for i in range(ROUNDS_BEFORE_QUIET):
                    await self.turn_over(VANISHING if i % 2 else 0)
                    self.check_members()
                    await asyncio.sleep(ROUND_SECONDS)
                await self.wait_whole()
        finally:
            await asyncio.gather(*(member.end(False) for member in self.members))


def check_the_check():
    """A second owner in the same generation, and a gap, must be seen."""

    class Stub:
        def __init__(self, name):
            self.id = name

    crowd = Crowd("", "topic", lambda: True)
    crowd.plan(1, ["a", "b"])
    answer = crowd.assignment(1, "a")
    first = Stub("a")
    first.owned, first.generation = crowd.claim(first, 1, Reader(answer)), 1
    try:
        crowd.claim(Stub("b"), 1, Reader(answer))
    except Failed as failure:
        check("two owners" in str(failure), f"a partition owned twice: {failure}")
    else:
        raise Failed("a partition owned twice was not seen")
    crowd.members = [first]
    check(not crowd.is_whole(), "partitions without an owner were not seen")


def run(address, topic, alive):
    seed = int(os.environ.get("ODRADEK_SEED", random.randrange(1 << 32)))
    random.seed(seed)
    check_the_check()
    crowd = Crowd(address, topic, alive)
    try:
        asyncio.run(crowd.live())
    except (OSError, asyncio.IncompleteReadError) as failure:
        raise Failed(f"a connection of a member ended: {failure!r} (seed {seed})") from failure
    except Failed as failure:
        raise Failed(f"{failure} (seed {seed})") from failure
    return (
        f"{MEMBERS} members over {PARTITIONS} partitions: {len(crowd.plans)} generations,"
        f" {crowd.joined} joined, {crowd.left} left, {crowd.vanished} vanished,"
        f" {crowd.expelled} found themselves expelled, whole {crowd.quiet} times,"
        f" after {crowd.longest:.1f} s at most, seed {seed}"
    )
