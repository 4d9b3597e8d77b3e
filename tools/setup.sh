#!/usr/bin/env bash
# Installs what the demo and the tests need and this machine lacks:
#   tools/setup.sh            redis-server and the ClickHouse engine
#   tools/setup.sh examples   what the tests of the examples need
# Names what can't be installed; the demo and the tests skip what needs it.
set -uo pipefail
cd "$(dirname "$0")/.."

install() { # PACKAGE…: installs packages of Debian
	[ $# -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "not here: $* (install it with: apt-get install $*)"
		return
	fi
	echo "installing $*"
	# RUNLEVEL=1 keeps the packages from starting a server.
	(apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@") >/tmp/logbatcher-setup.log 2>&1 ||
		echo "not here: $* could not be installed (see /tmp/logbatcher-setup.log)"
}

if [ "${1:-}" != examples ]; then
	command -v redis-server >/dev/null 2>&1 || install redis-server
	bin/logbatcher engine install || echo "not here: the ClickHouse engine"
	exit
fi

python=()
/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null || python+=(python3-grpcio python3-protobuf)
command -v protoc >/dev/null 2>&1 || python+=(protobuf-compiler)
command -v grpc_python_plugin >/dev/null 2>&1 || python+=(protobuf-compiler-grpc)
install "${python[@]}"

# What the examples for Node need, from npm. node_modules/.package-lock.json says what is installed.
for example in examples/typescript examples/otel/node; do
	[ "$example/node_modules/.package-lock.json" -nt "$example/package-lock.json" ] && continue
	echo "installing the npm packages of $example"
	npm ci --prefix "$example" --ignore-scripts --no-audit --no-fund >/tmp/logbatcher-setup-npm.log 2>&1 ||
		echo "not here: the npm packages of $example could not be installed (see /tmp/logbatcher-setup-npm.log)"
done
