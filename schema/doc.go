// Package schema is the vocabulary of LogBatcher: the entry as every other package
// sees it, and the columns, tables, routes and filters of the configuration.
// Package table makes ClickHouse's tables fit it, and package retention removes expired rows.
//
// It takes the parts of the configuration that describe data and returns compiled routes; it takes entries
// and returns the routes that match. It imports no other package of the project and runs no SQL: connections
// and leases are small interfaces.
//
// An Entry's strings may alias a receive buffer: copy what has to outlive the request. All problems
// of a filter are reported at once, each with the path of its setting.
package schema
