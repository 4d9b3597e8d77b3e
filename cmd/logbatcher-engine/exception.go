package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

// exception makes an error that reads as one of ClickHouse's.
func exception(code int, name, format string, arguments ...any) error {
	//lint:ignore ST1005 the text is written as a ClickHouse server writes it
	return fmt.Errorf("Code: %d. DB::Exception: %s. (%s)", code, fmt.Sprintf(format, arguments...), name)
}

var exceptionCode = regexp.MustCompile(`Code: (\d+)\. DB::`)

// codeOf reads the code from the text of an exception. Errors that are not
// ClickHouse's are UNKNOWN_EXCEPTION, those of reading the body
// CANNOT_READ_ALL_DATA.
func codeOf(err error) int {
	if found := exceptionCode.FindStringSubmatch(err.Error()); found != nil {
		code, _ := strconv.Atoi(found[1])
		return code
	}
	var body *errBody
	if errors.As(err, &body) {
		return 33
	}
	return 1002
}

// badRequestCodes are the exceptions that ClickHouse's HTTP interface answers
// with 400: texts and syntax that cannot be read, values of a wrong type.
var badRequestCodes = []int{
	6, 15, 25, 26, 27, 38, 41, 44, 53, 62, 72, 117, 142, 143, 167, 168, 223, 321, 376, 427, 675, 676,
}

// notFoundCodes are the exceptions that it answers with 404: names that are
// not known.
var notFoundCodes = []int{
	46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 511,
}

// statusOf maps an exception's code to the status that ClickHouse's HTTP
// interface answers with.
func statusOf(code int) int {
	switch {
	case slices.Contains(badRequestCodes, code):
		return http.StatusBadRequest
	case slices.Contains(notFoundCodes, code):
		return http.StatusNotFound
	}
	switch code {
	case 48: // NOT_IMPLEMENTED
		return http.StatusNotImplemented
	case 159: // TIMEOUT_EXCEEDED
		return http.StatusRequestTimeout
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 209, 439: // SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
		return http.StatusServiceUnavailable
	case 229: // QUERY_IS_TOO_LARGE
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}
