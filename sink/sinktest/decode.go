package sinktest

import (
	"bytes"
	"fmt"
	"io"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// Row is a row by its columns' names, as the driver gives the values.
type Row map[string]any

// Number returns the row's number.
func (r Row) Number() uint64 {
	n, _ := r[NumberColumn].(uint64)
	return n
}

// Decode reads a Native block, such as a dead letter's payload.
func Decode(block []byte) ([]Row, error) { return decode(bytes.NewReader(block)) }

func decode(block io.Reader) ([]Row, error) {
	decoded := proto.NewBlock()
	if err := decoded.Decode(chproto.NewReader(block), 0); err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	names := decoded.ColumnsNames()
	rows := make([]Row, decoded.Rows())
	for i := range rows {
		rows[i] = make(Row, len(names))
		for c, name := range names {
			rows[i][name] = decoded.Columns[c].Row(i, false)
		}
	}
	return rows, nil
}
