#!/usr/bin/env bash
# Generates the code of api/ and the stubs under examples/ anew, in place or into the folder that is given. The last lines name
# what is missing and was therefore not generated.
set -euo pipefail
cd "$(dirname "$0")/.."
into=${1:-.}

missing=()
without='^$' # what the paragraphs of buf.gen.yaml that are left out match
protoc_gen_es=examples/typescript/node_modules/.bin/protoc-gen-es
[ -x $protoc_gen_es ] || [ "$into" != . ] || npm ci --prefix examples/typescript --ignore-scripts --no-audit --no-fund >/dev/null 2>&1 || true
[ -x $protoc_gen_es ] || {
	missing+=("protoc-gen-es: the TypeScript stubs were left as they are (npm ci in examples/typescript)")
	without+='|out: examples/typescript'
}
# Other versions of protoc write other code.
[[ "$(protoc --version 2>&1)" == 'libprotoc 3.21.'* ]] && command -v grpc_python_plugin >/dev/null || {
	missing+=("protoc 3.21 and grpc_python_plugin: the Python stubs were left as they are (apt-get install protobuf-compiler protobuf-compiler-grpc, Debian 12)")
	without+='|out: examples/python'
}
go tool -modfile=tools/go.mod buf generate -o "$into" --template "$(awk -v RS= -v ORS='\n\n' -v without="$without" '$0 !~ without' buf.gen.yaml)"

# vtprotobuf leaves out every double that equals 0, and has no option for it. -0.0 does, and is a value: compare bits, as protobuf-go does.
for field in $(grep -hoP '^\s+(double|float) \K\w+' api/logbatcher/v1/*.proto | sed -E 's/(^|_)(.)/\U\2/g'); do
	sed -i -E "s/if m\.$field != 0 \{/if math.Float64bits(float64(m.$field)) != 0 {/" "$into"/api/logbatcher/v1/*_vtproto.pb.go
done
for part in "${missing[@]}"; do
	echo "not here: $part"
done
