#!/usr/bin/env python3
"""Checks a file that `ipam audit export` wrote, with nothing but Python's standard library: python3 verify_export.py FILE

Exit codes: 0 clean, 1 something is wrong (the first thing is named), 2 usage or unreadable. README.md has the format.
"""
import bisect, hashlib, ipaddress, json, re, sys, uuid


INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


class Wrong(Exception):
    pass


def check(holds, problem):
    if not holds:
        raise Wrong(problem)


def read(text):
    def members(pairs):
        check(len(dict(pairs)) == len(pairs), "it says something twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=members)


def span(cidr):
    network = ipaddress.ip_network(cidr)  # Refuses host bits.
    return (network.version, int(network.network_address)), (network.version, int(network.broadcast_address))


class Blocks:
    """Blocks that share no address, in order, each with what it is for."""

    def __init__(self):
        self.firsts, self.blocks = [], []

    def add(self, cidr, what, rule):
        first, last = span(cidr)
        at = bisect.bisect_left(self.firsts, first)
        for other in self.blocks[max(at - 1, 0) : at + 1]:
            check(other[1] < first or last < other[0], f"{rule}: {cidr} of {what} overlaps {other[3]} of {other[2]}")
        self.firsts.insert(at, first)
        self.blocks.insert(at, (first, last, what, cidr))

    def remove(self, cidr, what=None):
        at = bisect.bisect_left(self.firsts, span(cidr)[0])
        there = at < len(self.blocks) and self.blocks[at][:2] == span(cidr) and what in (None, self.blocks[at][2])
        check(there, f"{cidr} is given back, and was not held so")
        del self.firsts[at], self.blocks[at]

    def around(self, cidr):
        first, last = span(cidr)
        at = bisect.bisect_right(self.firsts, first) - 1
        return at >= 0 and last <= self.blocks[at][1]

    def inside(self, cidr):
        first, last = span(cidr)
        return [block[3] for block in self.blocks[bisect.bisect_left(self.firsts, first) : bisect.bisect_right(self.firsts, last)]]


class Space:
    """Pools, what was provisioned to them, and what they hold: allocations, and the CIDRs of their child pools."""

    def __init__(self):
        self.ipam_of, self.pools, self.tops, self.of_children = {}, {}, {}, set()

    def hold(self, pool, cidr, allocation):
        check(self.pools[pool]["has"].around(cidr), f"INV-A1: {cidr} lies in no CIDR of {pool}")
        self.pools[pool]["held"].add(cidr, allocation, "INV-A1")

    def close(self, gone, closed):
        for cascade in closed:
            check(cascade["pool"] in gone, f"INV-P14: the cascade closes {cascade['pool']}, which stays")
            held = self.pools[cascade["pool"]]["held"]
            inside = held.inside(cascade["cidr"])
            check(len(inside) == cascade["allocations"], f"INV-P14: the cascade miscounts {cascade['cidr']}")
            for cidr in inside:
                held.remove(cidr)
        for pool in gone:
            check(not self.pools[pool]["held"].blocks, f"INV-P14: {pool} is deleted with allocations in it")
        for pool, it in [(pool, self.pools.pop(pool)) for pool in gone]:
            for _, _, _, cidr in it["has"].blocks:
                if it["source"] is None:
                    self.tops[it["scope"]].remove(cidr)
                elif it["source"] in self.pools:
                    self.pools[it["source"]]["held"].remove(cidr)

    def fold(self, type, data):
        pool = self.pools.get(data.get("pool"))
        if type == "IpamCreated":
            self.ipam_of.update({data["private_default_scope"]: data["ipam"], data["public_default_scope"]: data["ipam"]})
        elif type == "ScopeCreated":
            self.ipam_of[data["scope"]] = data["ipam"]
        elif type == "PoolCreated":
            source = data.get("source_pool")
            check(source is None or self.pools[source]["scope"] == data["scope"], "INV-P1: a child pool in another scope")
            self.pools[data["pool"]] = {"scope": data["scope"], "source": source, "has": Blocks(), "held": Blocks()}
        elif type == "PoolCidrProvisioned":
            pool["has"].add(data["cidr"], data["pool"], "INV-C4")
            if pool["source"] is None:
                self.tops.setdefault(pool["scope"], Blocks()).add(data["cidr"], data["pool"], "INV-C1")
            else:
                self.hold(pool["source"], data["cidr"], data["source_allocation"])
                self.of_children.add(data["source_allocation"])
        elif type == "PoolCidrDeprovisioned":
            check(not pool["held"].inside(data["cidr"]), f"INV-C7: {data['cidr']} is taken away with allocations in it")
            pool["has"].remove(data["cidr"])
            other = self.tops[pool["scope"]] if pool["source"] is None else self.pools[pool["source"]]["held"]
            other.remove(data["cidr"])
        elif type == "CidrAllocated":
            self.hold(data["pool"], data["cidr"], data["allocation"])
        elif type == "AllocationReleased":
            check(data["allocation"] not in self.of_children, f"INV-C3: {data['allocation']} is released, and a child pool has it")
            pool["held"].remove(data["cidr"], data["allocation"])
        elif type == "PoolDeleted":
            gone = [data["pool"]]
            for parent in gone:  # Grows while it is walked.
                gone += [pool for pool, it in self.pools.items() if it["source"] == parent]
            self.close(gone, data.get("closed", []))
        elif type == "IpamDeleted":
            gone = [pool for pool, it in self.pools.items() if self.ipam_of.get(it["scope"]) == data["ipam"]]
            self.close(gone, data.get("closed", []))


def value_of(line):
    line = line.removesuffix(b"\n")
    return bytes.fromhex(read(line).removeprefix("hex:")) if line.startswith(b'"') else line


def verify(file):
    manifest = read(file.readline())
    if manifest["format"] != "ipam-audit-export-1":
        raise ValueError(f"format {manifest['format']}")
    space, previous, decided_at, commands, ends, count = Space(), None, "", set(), [], 0
    for count, line in enumerate(file, 1):
        try:
            value = value_of(line)
            outcome = read(value)
            check(outcome["schema"] == 1, f"it is of schema {outcome['schema']}")
            check(outcome["organization"] == manifest["organization"], "it is of another organisation")
            check(type(outcome["revision"]) is int and outcome["revision"] == count, f"it is revision {outcome['revision']}; revision {count} comes next")
            check(outcome.get("previous") == previous, "it names another hash than that of the record before")
            check(re.fullmatch(INSTANT, outcome["decided_at"]) and outcome["decided_at"] > decided_at, "its time does not move on")
            command = uuid.UUID(outcome["command_id"])
            check(command not in commands, f"it decides {command} again")
            check(count > 1 or "accepted" in outcome["decision"], "no history begins with a rejection")
            for event in outcome["decision"].get("accepted", []):
                space.fold(event["type"], event["data"])
        except Wrong as wrong:
            raise Wrong(f"line {count + 1}: {wrong}") from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Wrong(f"line {count + 1}: it is no outcome, or names what is not there: {error!r}") from None
        previous, decided_at = hashlib.sha256(value).hexdigest(), outcome["decided_at"]
        commands.add(command)
        ends = (ends or [None])[:1] + [{"revision": count, "hash": previous, "decided_at": decided_at}]
        ends[0] = ends[0] or ends[1]
    named = [manifest["first"], manifest["last"]]
    check(count == manifest["records"] and ends == named, f"it ends with {ends[-1:]}; the manifest names {named[1]}")
    return f"{manifest['organization']}: {count} records, revision {count} {previous}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(print(__doc__, file=sys.stderr) or 2)
    try:
        with open(sys.argv[1], "rb") as file:
            print(verify(file))
    except Wrong as wrong:
        sys.exit(print(f"wrong: {wrong}", file=sys.stderr) or 1)
    except (OSError, ValueError, LookupError, TypeError) as error:
        sys.exit(print(f"{sys.argv[1]} cannot be read: {error!r}", file=sys.stderr) or 2)
