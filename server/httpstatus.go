package server

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// httpCodes are the HTTP status codes of the statuses that this package makes. Clients repeat a request after 503 and no other.
var httpCodes = map[codes.Code]int{
	codes.OK:                 http.StatusOK,
	codes.Canceled:           http.StatusServiceUnavailable, // if anybody reads it, a proxy had half-closed the connection
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.DeadlineExceeded:   http.StatusServiceUnavailable,
	codes.NotFound:           http.StatusNotFound,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.Unauthenticated:    http.StatusUnauthorized,
	codes.ResourceExhausted:  http.StatusRequestEntityTooLarge,
	codes.FailedPrecondition: http.StatusConflict,
	codes.Aborted:            http.StatusConflict,
	codes.OutOfRange:         http.StatusConflict,
	codes.Unimplemented:      http.StatusUnsupportedMediaType,
	codes.Internal:           http.StatusInternalServerError,
	codes.Unavailable:        http.StatusServiceUnavailable,
}

// writeStatus answers a request with the status that ended its call: google.rpc.Status, as JSON or in protobuf.
func writeStatus(w http.ResponseWriter, err error, inProtobuf bool) {
	st := status.Convert(err)
	code := httpCodes[st.Code()]
	if code == 0 {
		code = http.StatusInternalServerError
	}
	header := w.Header()
	switch code {
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(retryAfter(st).Seconds()))))
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusUnsupportedMediaType:
		header.Set("Accept-Encoding", "gzip, zstd")
	}
	if inProtobuf {
		body, _ := proto.Marshal(st.Proto()) // status.go makes all texts valid UTF-8, so there is no error
		writeBody(w, code, contentProtobuf, body)
		return
	}
	body, _ := protojson.Marshal(st.Proto())
	writeJSON(w, code, json.RawMessage(body)) // whose white space is always the same
}

// retryAfter returns how long a client should wait before it sends again.
func retryAfter(st *status.Status) time.Duration {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.RetryDelay.AsDuration()
		}
	}
	return retryDelay
}

// The content types of responses.
const (
	contentJSON     = "application/json"
	contentProtobuf = "application/x-protobuf"
)

// writeBody writes a response. The client may be gone.
func writeBody(w http.ResponseWriter, code int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
