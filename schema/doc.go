// Package schema is the vocabulary of LogBatcher: the entry as every other package
// sees it, and the columns, tables, routes and filters that an operator writes down.
// It also owns what follows from them: the plan that makes a ClickHouse table fit
// its route, its migration, and the retention of what is in it.
//
// In come the parts of the configuration that describe data, and entries to match;
// out go compiled routes, DDL, and the outcomes that producers are told. The package
// imports no other package of the project; what it needs of the outside (something that
// runs SQL, a lease) it declares as small interfaces.
//
// What always holds: an Entry's strings may alias a receive buffer, so whoever
// keeps one longer than the request copies it. Every problem in a configuration is
// reported, not the first alone, each with the path of the setting that it is about.
package schema
