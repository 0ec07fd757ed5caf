#!/usr/bin/env python3
"""Sends one command to a ledger on Kafka and waits for its outcome, applying the admission rule.

    pip install confluent-kafka
    ./produce.py --bootstrap localhost:9092 --organization o-example --account 000000000001 \
        CreateOrganization '{"management_account": "000000000001"}'

Prints the outcome as JSON. Exit codes: 0 accepted, 1 rejected, 2 usage, 3 outcome unknown (ask again with the same
--command-id: it has one effect), 4 unreachable. The rules are in ../README.md.
"""

import argparse
import hashlib
import json
import os
import secrets
import sys
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

def uuid7() -> uuid.UUID:
    """Ids that begin with the time are the cheapest for the ledger to remember. Any UUID works."""
    bits = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=bits & ~(0x3 << 62) | 0x2 << 62)


def murmur2(data: bytes) -> int:
    """The hash behind the default partitioner of Kafka's Java clients."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(organization: str, partitions: int) -> int:
    return (murmur2(organization.encode()) & 0x7FFFFFFF) % partitions


def digest_of(command: dict) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of what is asked.

    For texts, small integers and names without characters beyond U+FFFF, sorted and without spaces is canonical.
    """
    asked = {name: command[name] for name in ("organization", "principal", "type", "payload")}
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_headers(message) -> dict | None:
    """Kind, epoch, seq and source; None when the headers are not such as a processor writes."""
    found = {}
    for name, value in message.headers() or []:
        if not name.startswith("ipam-"):
            continue
        if name in found or value is None:
            return None
        found[name] = value.decode("ascii", "replace")
    number = lambda text: text is not None and text.isascii() and text.isdigit() and str(int(text)) == text
    numbers = [found.get("ipam-epoch"), found.get("ipam-seq"), found.get("ipam-source", "0")]
    if found.get("ipam-kind") not in ("epoch-opened", "outcome", "passed") or not all(map(number, numbers)):
        return None
    return {"kind": found["ipam-kind"], "epoch": int(numbers[0]), "seq": int(numbers[1])}


class Admission:
    """Which records of one partition count: the same fold that every reader runs, from the first record on."""

    def __init__(self, state: dict | None = None):
        state = state or {}
        self.next_offset = state.get("next_offset", 0)
        self.reign = state.get("reign")

    def state(self) -> dict:
        return {"next_offset": self.next_offset, "reign": self.reign}

    def admit(self, message) -> str | None:
        """The record's kind when it is valid, else None: a void record has no effect."""
        self.next_offset = message.offset() + 1
        header = read_headers(message)
        if header is None:
            return None
        if header["kind"] == "epoch-opened":
            return self._open(header, message.value())
        if self.reign is None or header["epoch"] != self.reign["epoch"] or header["seq"] != self.reign["next_seq"]:
            return None
        self.reign["next_seq"] += 1
        return header["kind"]

    def _open(self, header: dict, value: bytes) -> str | None:
        try:
            opened = json.loads(value)
            epoch, ledger, partitions = opened["epoch"], opened["ledger"], opened["partitions"]
        except (ValueError, KeyError, TypeError):
            return None
        last = self.reign["epoch"] if self.reign else 0
        if header["epoch"] != epoch or header["seq"] != 0 or epoch != last + 1:
            return None
        if self.reign and (ledger, partitions) != (self.reign["ledger"], self.reign["partitions"]):
            return None
        self.reign = {"epoch": epoch, "ledger": ledger, "partitions": partitions, "next_seq": 1}
        return "epoch-opened"


def send(bootstrap: str, topic: str, command: dict) -> None:
    """Returns when the broker has the command; raises when that is not known."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            # librdkafka's own default would put most organisations elsewhere; they would be forwarded, a hop later.
            "partitioner": "murmur2_random",
            "message.timeout.ms": 30_000,
        }
    )
    failed = []
    producer.produce(
        topic,
        key=command["organization"],
        value=json.dumps(command, ensure_ascii=False).encode(),
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    if producer.flush(35) > 0 or failed:
        raise TimeoutError(f"it is unknown whether the command was sent: {failed or 'no answer'}")


def wait(bootstrap: str, events: str, command: dict, states: dict, timeout: float) -> dict:
    """The outcome of the command, found by id and digest among the valid records of its partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"ipam-producer-{uuid.uuid4()}",  # Nothing is ever committed.
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
    )
    try:
        topic = consumer.list_topics(events, timeout=10).topics[events]
        if topic.error:
            raise KafkaException(topic.error)
        partitions, wanted = len(topic.partitions), (command["command_id"], digest_of(command))
        deadline = time.monotonic() + timeout
        while True:
            partition = partition_of(command["organization"], partitions)
            found = follow(consumer, events, partition, partitions, states, wanted, deadline)
            if isinstance(found, dict):
                return found
            partitions = found  # What counts is the number that the ledger was opened with.
    finally:
        consumer.close()


def follow(consumer, events, partition, partitions, states, wanted, deadline) -> dict | int:
    """The wanted outcome, or the ledger's number of partitions when that is another one."""
    admission = Admission(states.get(str(partition)))
    consumer.assign([TopicPartition(events, partition, admission.next_offset or OFFSET_BEGINNING)])
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        kind = admission.admit(message)
        if kind == "epoch-opened" and admission.reign["partitions"] != partitions:
            return admission.reign["partitions"]
        if kind == "outcome":
            outcome = json.loads(message.value())
            if (outcome["command_id"], outcome["digest"]) == wanted:
                states[str(partition)] = admission.state()
                return outcome
    raise TimeoutError("no outcome yet")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", required=True, help="HOST:PORT of a broker")
    parser.add_argument("--topic-prefix", default="ipam", help="what the topics' names begin with")
    parser.add_argument("--organization", required=True, help="o-… or a lone account")
    parser.add_argument("--account", required=True, help="who asks: twelve digits")
    parser.add_argument("--name", help="who asks, for people")
    parser.add_argument("--reason", help="why, for people who ask later")
    parser.add_argument("--command-id", help="repeats that command safely")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for the outcome")
    parser.add_argument("--state", help="a file that keeps where this reader is, so that the next run reads on from there")
    parser.add_argument("type")
    parser.add_argument("payload", type=json.loads, help="JSON")
    arguments = parser.parse_args()

    command = {
        "schema": 1,
        "command_id": arguments.command_id or str(uuid7()),
        "organization": arguments.organization,
        "principal": {"account": arguments.account} | ({"name": arguments.name} if arguments.name else {}),
        "type": arguments.type,
        "payload": arguments.payload,
    }
    if arguments.reason:
        command["reason"] = arguments.reason
    print(f"command id: {command['command_id']}", file=sys.stderr)

    states = {}
    # A command that is sent again may have been decided before the kept position: then everything is read.
    if arguments.state and not arguments.command_id and os.path.exists(arguments.state):
        with open(arguments.state, encoding="utf-8") as file:
            states = json.load(file)
    try:
        send(arguments.bootstrap, f"{arguments.topic_prefix}.commands", command)
        outcome = wait(arguments.bootstrap, f"{arguments.topic_prefix}.events", command, states, arguments.timeout)
    except TimeoutError as error:
        print(f"unknown: {error}; ask again with --command-id {command['command_id']}", file=sys.stderr)
        return 3
    except KafkaException as error:
        print(f"unreachable: {error}", file=sys.stderr)
        return 4
    if arguments.state:
        with open(arguments.state, "w", encoding="utf-8") as file:
            json.dump(states, file)
    print(json.dumps(outcome, ensure_ascii=False, indent=2))
    return 0 if "accepted" in outcome["decision"] else 1


if __name__ == "__main__":
    sys.exit(main())
