#!/usr/bin/env bash
# Runs gofmt, go vet, staticcheck, buf lint and buf breaking, and checks that generated code and go.mod are up to date. Prints
# what fails; exits 1 if anything does. The last lines name what is missing and was therefore not checked.
set -uo pipefail
cd "$(dirname "$0")/.."
tool() { go tool -modfile=tools/go.mod "$@"; }
failed=0
check() { # NAME COMMAND…: runs the command and prints its name if it fails
	local name=$1
	shift
	if ! "$@"; then
		echo "lint: $name failed" >&2
		failed=1
	fi
}

formatted() {
	local files
	files=$(gofmt -l $(git ls-files --cached --others --exclude-standard '*.go'))
	[ -z "$files" ] || { echo "not formatted: $files"; return 1; }
}

# The protocol may only grow: api/baseline.binpb is what clients rely on so far.
breaking() { tool buf breaking --against api/baseline.binpb; }

missing="" # what could not be generated and was not compared
generated() {
	local fresh folder status=0
	fresh=$(mktemp -d)
	missing=$(tools/generate.sh "$fresh") || status=1
	for folder in api examples/typescript/gen examples/python/gen; do
		[ ! -d "$fresh/$folder" ] ||
			diff -r --exclude='*.proto' --exclude='*.binpb' --exclude=unknown.go --exclude='*_test.go' --exclude=__pycache__ "$fresh/$folder" "$folder" || status=1
	done
	rm -rf "$fresh"
	[ $status -eq 0 ] || echo "generated code is not up to date: run 'make generate'"
	return $status
}

# The tools and some examples have modules of their own.
each_module() { # COMMAND…: runs a go command in each of them
	local folder status=0
	for folder in . tools examples/otel/go; do
		go -C "$folder" "$@" || status=1
	done
	return $status
}

check gofmt formatted
check "go vet" each_module vet ./...
check staticcheck tool staticcheck ./...
check "buf lint" tool buf lint
check "buf breaking" breaking
check "generated code" generated
check "go mod tidy" each_module mod tidy -diff
[ -z "$missing" ] || echo "$missing"
[ $failed -eq 0 ] && echo "lint: clean"
exit $failed
