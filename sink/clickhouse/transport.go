package clickhouse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/logbatcher/logbatcher/schema"
)

// exceptionHeader is the header with the code of an exception, whatever the status.
const exceptionHeader = "X-ClickHouse-Exception-Code"

// maxExceptionBytes limits what is read of an answer that should be empty.
const maxExceptionBytes = 64 << 10

// answerError is an answer with status 200 that is not a success: it has an exception, or text where an insert's acknowledgement
// is empty. ClickHouse answers so, with code 209, when it loses the client halfway through the body (tried). What it has done by
// then is unknown, whatever the code.
type answerError struct {
	code int // ClickHouse's; 0 if the answer has none
	text string
}

// Error returns the code and the beginning of the text.
func (e *answerError) Error() string {
	text := schema.Short(e.text, 1000)
	if e.code != 0 {
		return fmt.Sprintf("HTTP 200 with exception %d: %q", e.code, text)
	}
	return fmt.Sprintf("HTTP 200 with an answer that is not ClickHouse's, or incomplete: %q", text)
}

// insertKey is the key of a context's insertParameters.
type insertKey struct{}

// insertParameters are the URL parameters of one insert request.
type insertParameters map[string]string

// transport adds an insert's parameters to the insert request only, adds rows to the statement that they belong to, and rejects
// answers that only look like success. The driver would also send the parameters with its own first query on a new connection,
// where decompress=1 makes the server read that query as compressed frames; and it ignores header and text of an answer with
// status 200.
type transport struct{ *http.Transport }

// RoundTrip sends the request. The error is an *answerError if the status is 200 and the answer not a success.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	parameters, insert := r.Context().Value(insertKey{}).(insertParameters)
	values := r.URL.Query()
	insert = insert && values.Has("query") // an insert's statement is in the URL, any other in the body
	if insert {
		for name, value := range parameters {
			values.Set(name, value)
		}
		r = r.Clone(r.Context())
		r.URL.RawQuery = values.Encode()
	}
	if rows, ok := r.Context().Value(externalKey{}).(*external); ok {
		var err error
		if r, err = rows.addTo(r); err != nil {
			return nil, err
		}
	}
	response, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	// A followed redirect would become a GET without the data, and its answer would not be ClickHouse's.
	response.Header.Del("Location")
	if response.StatusCode != http.StatusOK {
		return response, nil
	}
	exception := response.Header.Get(exceptionHeader)
	failed := exception != "" && exception != "0"
	if !insert && !failed {
		return response, nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxExceptionBytes))
	_ = response.Body.Close()
	switch {
	case failed:
		code, _ := strconv.Atoi(exception)
		return nil, &answerError{code, string(text)} // as much of the text as could be read
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", err)
	case len(bytes.TrimSpace(text)) > 0:
		return nil, &answerError{exceptionCodeIn(string(text)), string(text)}
	}
	response.Body = http.NoBody
	return response, nil
}

// exceptionCodeIn returns the code of the exception in a text, or 0.
func exceptionCodeIn(text string) int {
	found := exceptionText.FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	code, _ := strconv.Atoi(found[1])
	return code
}

// brief returns the error without the request's URL, which has all settings and the statement.
func brief(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
