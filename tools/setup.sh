#!/usr/bin/env bash
# Installs what the demo and the tests need and this machine lacks. Names what can't be installed; the demo and the tests
# skip what needs it.
set -uo pipefail
cd "$(dirname "$0")/.."

if ! command -v redis-server >/dev/null 2>&1; then
	if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
		echo "installing redis-server"
		# RUNLEVEL=1 keeps the package from starting a server.
		(apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends redis-server) >/tmp/logbatcher-setup.log 2>&1 ||
			echo "not here: redis-server could not be installed (see /tmp/logbatcher-setup.log)"
	else
		echo "not here: redis-server (install it with: apt-get install redis-server)"
	fi
fi

bin/logbatcher engine install || echo "not here: the ClickHouse engine"
