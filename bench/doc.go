//go:build linux

// Command bench measures the gateway from end to end, against inserting the same rows directly.
//
// It starts its own processes on loopback addresses: ClickHouse and Redis (package embedded), the
// gateway (bin/logbatcher serve, with a configuration of its own in a temporary folder), and for direct insertion
// itself as a child. The generator runs in this process; its messages are encoded beforehand. It prints one
// table with rows per second, CPU per row from the operating system's accounts, memory and latency, then the
// aims as ratios, then the cost per row along each axis of growth.
//
// Always: every row bears a number, and every run ends by counting the rows and the numbers in ClickHouse; a row that is
// lost or doubled is an error. All runs use tables of the same DDL, made by logbatcher itself. Everything is
// bounded by -timeout, and no process outlives this one.
package main
