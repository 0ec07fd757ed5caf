#!/usr/bin/env bash
# A real Kafka for tests: KRaft brokers on free loopback ports, with small heaps.
#   broker.sh start 1|3 DIR    starts that many brokers with their files in DIR; prints the bootstrap servers when ready
#   broker.sh stop DIR         stops them all
#   broker.sh kill DIR N       kills broker N (1, 2, 3) at once, as a power failure would
#   broker.sh restart DIR N    starts broker N again, on its old port and files
#   broker.sh signal DIR N S   sends broker N a signal, such as STOP and CONT
# LINKS=n (with start): each broker has so many further listeners, and says that each is to be found at another port,
# where nothing listens yet: a proxy's. DIR/N/link-1 … names both: "real advertised".
# WATCH_PID=…: the brokers are stopped, and DIR is deleted, as soon as that process is gone.
# The jars come from Maven Central, once; they stay in ${XDG_CACHE_HOME:-~/.cache}/ipam-ledger.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ipam-ledger/kafka-$version
ready_seconds_max=90

fail() { echo "broker.sh: $*" >&2; exit 1; }

fetch_jars() {
    [ -d "$cache" ] && return
    command -v java >/dev/null || fail "java is missing; run scripts/setup test"
    command -v mvn >/dev/null || fail "mvn is missing; run scripts/setup test"
    mkdir -p "$(dirname "$cache")"
    (
        flock 9
        [ -d "$cache" ] && exit
        echo "broker.sh: fetching Kafka $version from Maven Central into $cache" >&2
        rm -rf "$cache.new"
        mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
            -DoutputDirectory="$cache.new" >&2 || fail "the jars could not be fetched; is Maven Central reachable?"
        mv "$cache.new" "$cache"
    ) 9>"$cache.lock"
}

# Below the ports that outgoing connections take.
free_ports() {
    python3 - "$1" <<'PYTHON'
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", random.randrange(15000, 32000)))
        held.append(candidate)
    except OSError:
        pass
print(*(s.getsockname()[1] for s in held))
PYTHON
}

configure() { # directory, number of brokers
    local directory=$1 count=$2 links=${LINKS:-0} ports voters="" node link min_in_sync=1 at
    local listeners advertised protocols
    read -r -a ports <<<"$(free_ports $((2 * count * (1 + links))))"
    for node in $(seq "$count"); do voters+="${voters:+,}$node@127.0.0.1:${ports[2 * node - 1]}"; done
    [ "$count" = 1 ] || min_in_sync=2
    for node in $(seq "$count"); do
        mkdir -p "$directory/$node"
        echo "${ports[2 * node - 2]}" >"$directory/$node/port"
        listeners=PLAINTEXT://127.0.0.1:${ports[2 * node - 2]} advertised=$listeners protocols=""
        for link in $(seq "$links"); do
            at=$((2 * count * link + 2 * node - 2))
            listeners+=,LINK$link://127.0.0.1:${ports[at]}
            advertised+=,LINK$link://127.0.0.1:${ports[at + 1]}
            protocols+=,LINK$link:PLAINTEXT
            echo "${ports[at]} ${ports[at + 1]}" >"$directory/$node/link-$link"
        done
        cat >"$directory/$node/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$node
listeners=$listeners,CONTROLLER://127.0.0.1:${ports[2 * node - 1]}
advertised.listeners=$advertised
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=$voters
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$protocols
log.dirs=$directory/$node/data
auto.create.topics.enable=false
default.replication.factor=$count
min.insync.replicas=$min_in_sync
unclean.leader.election.enable=false
offsets.topic.replication.factor=$count
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=$count
transaction.state.log.min.isr=$min_in_sync
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=$count
share.coordinator.state.topic.min.isr=$min_in_sync
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
controlled.shutdown.enable=false
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
PROPERTIES
    done
}

run_java() { java -cp "$cache/*" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "$@"; }

format() { # directory, node
    run_java -Xmx96m kafka.tools.StorageTool format --cluster-id aXBhbS1sZWRnZXItdGVzdA \
        --config "$1/$2/server.properties" >"$1/$2/format.out" 2>&1 || fail "formatting failed: $(cat "$1/$2/format.out")"
}

launch() { # directory, node
    setsid java -cp "$cache/*" -Xms96m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.Kafka "$1/$2/server.properties" \
        </dev/null >>"$1/$2/broker.out" 2>&1 9>&- &
    echo $! >"$1/$2/pid"
}

# A broker listens when it has joined its cluster and can serve.
wait_ready() { # directory, node
    local port pid
    port=$(cat "$1/$2/port") pid=$(cat "$1/$2/pid")
    for _ in $(seq $((ready_seconds_max * 10))); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        kill -0 "$pid" 2>/dev/null || fail "broker $2 ended: $(tail -n 20 "$1/$2/broker.out")"
        sleep 0.1
    done
    fail "broker $2 was not ready within $ready_seconds_max s: $(tail -n 20 "$1/$2/broker.out")"
}

kill_one() { # directory, node
    local pid
    pid=$(cat "$1/$2/pid" 2>/dev/null) || return 0
    # The number may belong to somebody else by now.
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$1/$2/server.properties"; then
        kill -9 "$pid" 2>/dev/null || true
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    fi
    rm -f "$1/$2/pid"
}

signal_one() { # directory, node, signal
    local pid
    pid=$(cat "$1/$2/pid" 2>/dev/null) || fail "broker $2 does not run"
    kill "-$3" "$pid"
}

stop_all() { # directory
    local node
    for node in 1 2 3; do kill_one "$1" "$node"; done
}

watch() { # directory
    setsid bash -c 'tail --pid="$2" -f /dev/null; "$0" stop "$1"; rm -rf "$1"' \
        "$here/broker.sh" "$1" "$WATCH_PID" </dev/null >/dev/null 2>&1 9>&- &
}

case "${1:-}" in
start)
    [ $# = 3 ] && { [ "$2" = 1 ] || [ "$2" = 3 ]; } || fail "usage: broker.sh start 1|3 DIR"
    count=$2
    mkdir -p "$3"
    directory=$(cd "$3" && pwd)
    [ ! -e "$directory/1" ] || fail "$directory holds brokers already; stop them and delete it, or choose another"
    fetch_jars
    trap '[ $? = 0 ] || stop_all "$directory"' EXIT
    configure "$directory" "$count"
    for node in $(seq "$count"); do format "$directory" "$node" & done
    wait
    for node in $(seq "$count"); do launch "$directory" "$node"; done
    [ -z "${WATCH_PID:-}" ] || watch "$directory"
    bootstrap=""
    for node in $(seq "$count"); do
        wait_ready "$directory" "$node"
        bootstrap+="${bootstrap:+,}127.0.0.1:$(cat "$directory/$node/port")"
    done
    echo "$bootstrap"
    ;;
stop)
    [ $# = 2 ] || fail "usage: broker.sh stop DIR"
    [ ! -d "$2" ] || stop_all "$(cd "$2" && pwd)"
    ;;
kill)
    [ $# = 3 ] || fail "usage: broker.sh kill DIR N"
    kill_one "$(cd "$2" && pwd)" "$3"
    ;;
restart)
    [ $# = 3 ] || fail "usage: broker.sh restart DIR N"
    directory=$(cd "$2" && pwd)
    launch "$directory" "$3"
    wait_ready "$directory" "$3"
    ;;
signal)
    [ $# = 4 ] || fail "usage: broker.sh signal DIR N STOP|CONT"
    signal_one "$(cd "$2" && pwd)" "$3" "$4"
    ;;
*)
    sed -n '2,11s/^# //p' "$0" >&2
    exit 2
    ;;
esac
