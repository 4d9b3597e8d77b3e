#!/usr/bin/env bash
# Runs the Go tests, with the race detector if there is a C compiler. The last lines name what is missing and was therefore
# skipped. Arguments are passed to go test.
set -uo pipefail
cd "$(dirname "$0")/.."

missing=()
race=()
if command -v "${CC:-gcc}" >/dev/null 2>&1; then
	race=(-race)
	export CGO_ENABLED=1 # for the race detector; the binaries need no cgo
else
	missing+=("gcc: the tests ran without the race detector")
fi
command -v redis-server >/dev/null 2>&1 || missing+=("redis-server: tests of the dead-letter queue's durability were skipped (apt-get install redis-server)")
[ -n "${LOGBATCHER_TEST_CLICKHOUSE:-}" ] || bin/logbatcher engine path >/dev/null 2>&1 ||
	missing+=("the ClickHouse engine: tests against ClickHouse were skipped (npm, and access to its registry)")
for example in typescript otel/node; do
	node -e 0 2>/dev/null && [ -d "examples/$example/node_modules" ] || missing+=("node, or its packages: examples/$example was not tried (npm ci in that folder)")
done
[ "$(id -u)" = 0 ] && [ -w /dev/fuse ] || missing+=("root and /dev/fuse: the run of chaos had no disks that fail, and no power failures")
/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null || missing+=("Python's gRPC: the example in Python was not tried (apt-get install python3-grpcio python3-protobuf)")

# The comparison with the Collector is a long test.
[[ " $* " == *" -short "* ]] || CGO_ENABLED=0 make -s peers ||
	missing+=("the OpenTelemetry Collector: the comparison with its exporter was skipped (the Go module proxy)")

go test "${race[@]}" -timeout 20m "$@" ./...
status=$?
for part in "${missing[@]}"; do
	echo "not here: $part"
done
exit $status
