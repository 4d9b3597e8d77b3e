#!/usr/bin/env bash
# Runs the test suite N times in a row, beside as many busy loops as there are cores, and counts the green runs.
#   tools/soak.sh 20           the short suite
#   tools/soak.sh 3 -short=false   the long one
# The last line names the folder that keeps the output of failed runs. Exits 1 unless every run was green.
set -uo pipefail
cd "$(dirname "$0")/.."
runs=${1:?usage: tools/soak.sh RUNS [flags of go test]}
shift
logs=$(mktemp -d)

# Compile first, so that the runs measure the tests.
race=()
if command -v "${CC:-gcc}" >/dev/null 2>&1; then
	race=(-race)
	export CGO_ENABLED=1
fi
go test "${race[@]}" -run '^$' ./... >/dev/null || exit 1

load=()
trap 'kill "${load[@]}" 2>/dev/null' EXIT
for _ in $(seq "$(nproc)"); do
	(while :; do :; done) &
	load+=($!)
done

green=0
for run in $(seq "$runs"); do
	began=$SECONDS
	if tools/test.sh -short -count=1 "$@" >"$logs/$run" 2>&1; then
		green=$((green + 1))
		result=green
		rm "$logs/$run"
	else
		result="FAILED: $(grep -E '^(--- FAIL|FAIL|panic:)' "$logs/$run" | tr '\n' ' ')"
	fi
	echo "run $run of $runs: $((SECONDS - began)) s, $result"
done
echo "$green of $runs runs were green; logs of failures: $logs"
[ "$green" -eq "$runs" ]
