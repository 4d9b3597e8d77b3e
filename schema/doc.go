// Package schema is the vocabulary of LogBatcher: the entry as every other package
// sees it, and the columns, tables, routes and filters that an operator writes down.
// Package table makes ClickHouse's tables fit what is written down here, and package
// retention removes what has expired.
//
// In come the parts of the configuration that describe data, and entries to match;
// out go compiled routes and the outcomes that producers receive. The package imports
// no other package of the project and runs no SQL; what runs SQL, and a lease, are
// small interfaces.
//
// What always holds: an Entry's strings may alias a receive buffer, so whoever
// keeps one longer than the request copies it. Every problem in a configuration is
// reported, not the first alone, each with the path of the setting that it is about.
package schema
