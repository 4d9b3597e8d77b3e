// Package batch turns entries into blocks. A Layout is the compiled projection of entries onto a table's columns; a Batch collects rows
// of one partition in these columns; sealed, it becomes a Block, encoded and compressed once.
//
// In come schema.Entry views that alias a receive buffer, of which only copies are kept; out go the bytes of ClickHouse's Native format.
// The package reads no clock and knows no network. What always holds: a row is in all columns of its batch or in none, and the same
// rows under the same id give the same bytes.
package batch
