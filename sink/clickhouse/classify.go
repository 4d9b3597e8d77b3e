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
)

// codeInsertWasDeduplicated is ClickHouse telling of a token that it knows, where it is asked to tell.
const codeInsertWasDeduplicated = 389

// codeUnknownSetting is ClickHouse refusing a setting that it does not know.
const codeUnknownSetting = 115

// statusRules is what an HTTP status without ClickHouse's error code means: it is a proxy's answer. For those that
// are not here it is Ambiguous from 500 on, since the proxy may have sent the request on, and Hold below.
var statusRules = map[int]struct {
	class    sink.Class
	overload bool
}{
	http.StatusRequestTimeout:  {class: sink.Ambiguous},
	http.StatusTooManyRequests: {class: sink.Transient, overload: true},
}

// exceptionText is how ClickHouse begins an error, wherever a proxy may have put it.
var exceptionText = regexp.MustCompile(`Code: (\d+)\. DB::`)

// classify returns the *sink.Error for a failure. Sent says that a part of a batch may have reached the server.
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
	switch {
	case errors.As(err, &certificate):
		failure.Class = sink.Hold // it does not mend itself
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

// exceptionCode returns ClickHouse's code for an error, and the text to look for more in. 0: it has none.
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

// unreachable says that the failure is the way to the server, not its answer.
func unreachable(failure *sink.Error) bool {
	return failure.Code == 0 && (failure.Class == sink.Transient || failure.Class == sink.Ambiguous) &&
		!errors.Is(failure.Err, context.Canceled)
}

// neverSent says that a statement has not reached the server.
func neverSent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, clickhouse.ErrAcquireConnTimeout)
}
