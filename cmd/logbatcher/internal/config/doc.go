// Package config is the configuration of LogBatcher: one YAML file, with environment
// variables and flags over it.
//
// In come the file, the environment and the flags; out goes a *Config whose every value is known to be
// right, with the schema.Route values that follow from it. The settings are the fields of one tree of structs: the
// names in the file, the variables, the flags, the bounds, the printed form and the test of the reference
// file (docs/logbatcher.yaml) are all made from it.
//
// What always holds: an unknown key, a wrong type or a combination that can't work is an
// error, never ignored; all of them are reported at once, each with its place (file, line and column, the variable or
// the flag) and with what would be right; and no secret is ever printed.
package config
