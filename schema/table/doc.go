// Package table makes a ClickHouse table fit its route. NewPlan compares the table that a
// route asks for with what the system tables show; a Migrator runs the plan under a lease,
// waits until the change is visible, and records it in _logbatcher_schema.
//
// In come a *schema.Table and a connection; out go DDL and plans as text for a person.
//
// What always holds: a plan only adds and widens. A change that could lose rows or values is
// refused, with the statement that would make it, and while anything is refused nothing is run.
// Every statement may be run twice.
package table
