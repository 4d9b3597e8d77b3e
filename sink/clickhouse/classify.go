package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// codeInsertWasDeduplicated is ClickHouse's code for a known token, if it is set to report that.
const codeInsertWasDeduplicated = 389

// codeUnknownSetting is ClickHouse's code for an unknown setting.
const codeUnknownSetting = 115

// statusRules classifies HTTP statuses without ClickHouse's error code, which come from a proxy. Others are Ambiguous from 500 on,
// since the proxy may have forwarded the request, and Hold below.
var statusRules = map[int]struct {
	class    sink.Class
	overload bool
}{
	http.StatusRequestTimeout:  {class: sink.Ambiguous},
	http.StatusTooManyRequests: {class: sink.Transient, overload: true},
}

// exceptionText matches the beginning of a ClickHouse error, wherever a proxy may have put it.
var exceptionText = regexp.MustCompile(`Code: (\d+)\. DB::`)

// classify returns the *sink.Error for a failure. sent is true if a part of a batch may have reached the server.
func (s *Sink) classify(op, table string, err error, sent bool) *sink.Error {
	failure := &sink.Error{Op: op, Table: table, Err: err}
	var answer *answerError
	if errors.As(err, &answer) {
		failure.Code, failure.Class = answer.code, sink.Ambiguous
		return failure
	}
	if code, message := exceptionCode(err); code != 0 {
		rule := s.config.Classes.Classify(code, message)
		failure.Code, failure.Class, failure.Overload = code, rule.Class, rule.Overload
		return failure
	}
	failure.Class = sink.Ambiguous
	if !sent {
		failure.Class = sink.Transient
	}
	var status *clickhouse.HTTPError
	var certificate *tls.CertificateVerificationError
	var unreadable *batch.ReadError
	switch {
	case errors.As(err, &certificate), errors.As(err, &unreadable):
		failure.Class = sink.Hold // needs an operator
	case errors.As(err, &status):
		rule, known := statusRules[status.StatusCode]
		switch {
		case known && (sent || rule.class != sink.Ambiguous):
			failure.Class, failure.Overload = rule.class, rule.overload
		case !known && status.StatusCode < http.StatusInternalServerError:
			failure.Class = sink.Hold
		}
	}
	return failure
}

// exceptionCode returns ClickHouse's code for an error, or 0, and the text that classification may look into.
func exceptionCode(err error) (code int, message string) {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return int(exception.Code), exception.Message
	}
	var status *clickhouse.HTTPError
	if errors.As(err, &status) {
		if code := exceptionCodeIn(status.Error()); code != 0 {
			return code, status.Error()
		}
	}
	return 0, ""
}

// unreachable reports whether the failure is on the way to the server, not its answer.
func unreachable(failure *sink.Error) bool {
	return failure.Code == 0 && (failure.Class == sink.Transient || failure.Class == sink.Ambiguous) &&
		!errors.Is(failure.Err, context.Canceled)
}

// neverSent reports whether a statement has certainly not reached the server.
func neverSent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, clickhouse.ErrAcquireConnTimeout)
}
