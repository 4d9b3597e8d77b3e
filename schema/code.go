package schema

import (
	"errors"
	"regexp"
	"strconv"
)

// ClickHouse's error codes that a migration or a retention run acts on.
const (
	CodeUnknownTable    = 60
	CodeUnknownDatabase = 81
)

// serverCode is what the errors of a Conn offer: ClickHouse's number, or 0 where the error is not ClickHouse's.
type serverCode interface {
	error
	ServerCode() int
}

// codeText is how every ClickHouse begins the text of its errors, and how the driver writes them.
var codeText = regexp.MustCompile(`(?i)\bcode: (\d+)[.,]`)

// errorCode returns ClickHouse's error code, or 0 where the error is not ClickHouse's. An error that
// does not offer its number is read for it: Conn is an interface over drivers that differ.
func ErrorCode(err error) int {
	if err == nil {
		return 0
	}
	if coded, ok := errors.AsType[serverCode](err); ok {
		return coded.ServerCode()
	}
	match := codeText.FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	code, err := strconv.Atoi(match[1])
	if err != nil {
		return 0
	}
	return code
}
