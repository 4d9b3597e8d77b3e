package schema

import (
	"regexp"
	"strconv"
)

// ClickHouse's error codes for tables and databases that do not exist.
const (
	CodeUnknownTable    = 60
	CodeUnknownDatabase = 81
)

// codeText is how ClickHouse's errors begin, and how drivers write them.
var codeText = regexp.MustCompile(`(?i)\bcode: (\d+)[.,]`)

// ErrorCode returns ClickHouse's code for an error of a Conn, or 0 for an error that is not ClickHouse's.
func ErrorCode(err error) int {
	if err == nil {
		return 0
	}
	match := codeText.FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	code, _ := strconv.Atoi(match[1])
	return code
}
