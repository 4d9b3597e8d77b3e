// Package batch turns entries into batches of one table and partition: a Layout has the
// table's columns, and a Batch collects rows in ClickHouse's columnar form.
//
// In come schema.Entry views that alias a receive buffer, out goes a Native block. Nothing
// of an entry is kept but copies. The package reads no clock and knows no network.
package batch
