package main

import (
	"bytes"
	"testing"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

func nativeBlock(t *testing.T, rows ...any) []byte {
	t.Helper()
	block := proto.Block{ServerContext: &column.ServerContext{}}
	if err := block.AddColumn("text", "LowCardinality(String)"); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := block.Append(row); err != nil {
			t.Fatal(err)
		}
	}
	var buffer chproto.Buffer
	if err := block.Encode(&buffer, 0); err != nil {
		t.Fatal(err)
	}
	return buffer.Buf
}

func TestReencodeNative(t *testing.T) {
	const version = 54_483
	data := append(nativeBlock(t, "a", "b", "a"), nativeBlock(t, "c")...)
	encoded, err := reencodeNative(data, version)
	if err != nil {
		t.Fatal(err)
	}
	reader := chproto.NewReader(bytes.NewReader(encoded))
	var got []any
	for range 2 {
		block := proto.Block{ServerContext: &column.ServerContext{}}
		if err := block.Decode(reader, version); err != nil {
			t.Fatal(err)
		}
		for i := range block.Rows() {
			got = append(got, block.Columns[0].Row(i, false))
		}
	}
	if len(got) != 4 || got[0] != "a" || got[1] != "b" || got[2] != "a" || got[3] != "c" {
		t.Errorf("%v", got)
	}
	if encoded, err := reencodeNative(nil, version); err != nil || len(encoded) > 0 {
		t.Errorf("no blocks: %q, %v", encoded, err)
	}
	first := len(nativeBlock(t, "a", "b", "a"))
	for cut := 2; cut < len(data); cut++ {
		if cut == first || cut == first+1 { // one byte more reads as the end, too
			continue
		}
		if _, err := reencodeNative(data[:cut], version); err == nil {
			t.Errorf("%d of %d bytes were accepted", cut, len(data))
		}
	}
}
