package sinktest

import (
	"bytes"
	"fmt"

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

// Decode reads a Native block, as batches and dead letters have it.
func Decode(block []byte) ([]Row, error) {
	decoded := proto.NewBlock()
	if err := decoded.Decode(chproto.NewReader(bytes.NewReader(block)), 0); err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	rows := make([]Row, decoded.Rows())
	for i := range rows {
		rows[i] = Row{}
		for c, name := range decoded.ColumnsNames() {
			rows[i][name] = decoded.Columns[c].Row(i, false)
		}
	}
	return rows, nil
}
