#!/usr/bin/env bash
# Installs what the demo and the tests need and this machine lacks. Names what can't be installed; the demo and the tests
# skip what needs it.
set -uo pipefail
cd "$(dirname "$0")/.."

# Debian packages: the servers, and what the examples in Python need.
packages=()
command -v redis-server >/dev/null 2>&1 || packages+=(redis-server)
/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null || packages+=(python3-grpcio python3-protobuf)
command -v protoc >/dev/null 2>&1 || packages+=(protobuf-compiler)
command -v grpc_python_plugin >/dev/null 2>&1 || packages+=(protobuf-compiler-grpc)
if [ ${#packages[@]} -gt 0 ]; then
	if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
		echo "installing ${packages[*]}"
		# RUNLEVEL=1 keeps the packages from starting a server.
		(apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}") >/tmp/logbatcher-setup.log 2>&1 ||
			echo "not here: ${packages[*]} could not be installed (see /tmp/logbatcher-setup.log)"
	else
		echo "not here: ${packages[*]} (install it with: apt-get install ${packages[*]})"
	fi
fi

# What the examples for Node need, from npm. node_modules/.package-lock.json says what is installed.
for example in examples/typescript examples/otel/node; do
	[ "$example/node_modules/.package-lock.json" -nt "$example/package-lock.json" ] && continue
	echo "installing the npm packages of $example"
	npm ci --prefix "$example" --ignore-scripts --no-audit --no-fund >/tmp/logbatcher-setup-npm.log 2>&1 ||
		echo "not here: the npm packages of $example could not be installed (see /tmp/logbatcher-setup-npm.log)"
done

bin/logbatcher engine install || echo "not here: the ClickHouse engine"
