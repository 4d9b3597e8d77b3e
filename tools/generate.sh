#!/usr/bin/env bash
# Generates the code of api/ anew, in place or into the folder that is given.
set -euo pipefail
cd "$(dirname "$0")/.."
into=${1:-.}
go tool -modfile=tools/go.mod buf generate -o "$into"
# vtprotobuf leaves out every double that equals 0, and has no option for it. -0.0 does, and is a value: compare bits, as protobuf-go does.
for field in $(grep -hoP '^\s+(double|float) \K\w+' api/logbatcher/v1/*.proto | sed -E 's/(^|_)(.)/\U\2/g'); do
	sed -i -E "s/if m\.$field != 0 \{/if math.Float64bits(float64(m.$field)) != 0 {/" "$into"/api/logbatcher/v1/*_vtproto.pb.go
done
