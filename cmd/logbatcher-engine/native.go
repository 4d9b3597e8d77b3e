package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// reencodeNative turns Native blocks as the library writes them (protocol
// version 0: no block info, no serialization flags) into what a client of a
// later protocol version reads.
func reencodeNative(data []byte, version uint64) ([]byte, error) {
	source := bytes.NewReader(data)
	reader := chproto.NewReader(source)
	var out chproto.Buffer
	for number := 0; ; number++ {
		block := proto.Block{ServerContext: &column.ServerContext{}}
		err := block.Decode(reader, 0)
		if errors.Is(err, io.EOF) && len(block.Columns) == 0 && source.Len() == 0 {
			return out.Buf, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode block %d: %w", number, err)
		}
		if err := checkEncodable(&block); err != nil {
			return nil, err
		}
		if err := block.Encode(&out, version); err != nil {
			return nil, fmt.Errorf("encode block %d: %w", number, err)
		}
	}
}

// checkEncodable refuses the types that the driver reads but does not write; it
// would write nothing in their place, and clients would see no rows.
func checkEncodable(block *proto.Block) error {
	for _, c := range block.Columns {
		if kind := string(c.Type()); strings.Contains(kind, "Nullable(Nothing)") || strings.Contains(kind, "Interval") {
			return fmt.Errorf("column %s: values of type %s cannot be sent; cast them to another type", c.Name(), kind)
		}
	}
	return nil
}
