package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/logbatcher/logbatcher/server/access"
)

// httpProtocol is a protocol whose requests are the bodies of POSTs.
type httpProtocol interface {
	// call returns the call that a request makes, with its intake and its opening. The error is the status for the client.
	call(r *http.Request) (*call, error)
	// respond writes the answer or, if err is not nil, the status that ended the call.
	respond(w http.ResponseWriter, r *http.Request, a *answer, err error)
}

// posts takes the requests of one protocol: each is a unary call.
type posts struct {
	ingest   *ingest
	unpack   *decompressor
	door     *doorkeeper
	protocol httpProtocol
}

// ServeHTTP implements http.Handler.
func (p *posts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	a, err := p.exchange(r, control)
	p.ingest.metrics.countFailed(err)
	if p.ingest.life.draining.Err() != nil {
		w.Header().Set("Connection", "close") // the next request had better go to another instance
	}
	_ = control.SetWriteDeadline(time.Now().Add(httpWriteTimeout)) // the call may have taken longer than responses may
	p.protocol.respond(w, r, &a, err)
}

func (p *posts) exchange(r *http.Request, control *http.ResponseController) (a answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = p.ingest.recovered(v)
		}
	}()
	caller, err := p.door.askHTTP(r, access.Ingest)
	if err != nil {
		return a, err
	}
	if ready, _ := p.ingest.readiness.Ready(); !ready && p.ingest.life.draining.Err() == nil {
		return a, errNotReady
	}
	c, err := p.protocol.call(r)
	if err != nil {
		return a, err
	}
	c.tenant = p.ingest.tenants.of(caller.Tenant)
	b := body{request: r, control: control, unpack: p.unpack, silence: p.ingest.config.OpenTimeout}
	if b.encoding, err = b.contentEncoding(); err != nil {
		return a, err
	}
	c.receive = b.receive
	return p.ingest.exchange(r.Context(), c)
}

// body reads the body of a request. Like a request that gRPC receives, it occupies what is set aside for each stream and call, and
// nothing of the budget, until all of it is there: a client that sends slowly keeps no memory from others.
type body struct {
	request *http.Request
	control *http.ResponseController
	unpack  *decompressor
	// encoding is how it is compressed. Empty: not at all.
	encoding string
	// silence is how long it may take until more of it arrives.
	silence time.Duration
	ctx     context.Context // of receive
}

// contentEncoding returns how the body is compressed.
func (b *body) contentEncoding() (string, error) {
	name := strings.ToLower(strings.Join(b.request.Header.Values("Content-Encoding"), ","))
	switch name {
	case "", "identity":
		return "", nil
	case "x-gzip":
		name = "gzip"
	}
	if b.unpack.readers[name] == nil {
		return "", statusUnknownEncoding(name)
	}
	return name, nil
}

// receive returns the body, decompressed.
func (b *body) receive(ctx context.Context) (*frame, error) {
	limit := b.unpack.limit
	if b.request.ContentLength > int64(limit) {
		return nil, statusTooLarge("max_request_bytes", limit, int(b.request.ContentLength))
	}
	b.ctx = ctx
	stop := context.AfterFunc(ctx, func() { _ = b.control.SetReadDeadline(time.Unix(1, 0)) })
	data, err := mem.ReadAll(io.LimitReader(b, int64(limit)+1), mem.DefaultBufferPool())
	stop()
	switch {
	case err != nil:
		err = b.failure(err)
	case data.Len() > limit:
		err = statusTooLarge("max_request_bytes", limit, data.Len())
	case b.encoding != "":
		packed := data
		data, err = b.unpack.decompress(b.encoding, packed)
		packed.Free()
	}
	if err != nil {
		data.Free()
		return nil, err
	}
	_ = b.control.SetReadDeadline(time.Time{}) // or the wait for the answer would end, too: the server reads on to see a client go
	return &frame{data}, nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.silence))
	if b.ctx.Err() != nil { // after it has set a deadline of its own
		return 0, context.Cause(b.ctx)
	}
	return b.request.Body.Read(p)
}

// failure returns why the body could not be read.
func (b *body) failure(err error) error {
	var broken *net.OpError
	cause := context.Cause(b.ctx) // canceled after any failure, because net/http can't read on to see the client go
	switch {
	case cause == errLate, cause == errShutdown:
		return cause
	case errors.Is(err, os.ErrDeadlineExceeded):
		return statusBodyTimeout(b.silence)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &broken):
		return context.Canceled // the client is gone
	}
	return statusMalformed(fmt.Sprintf("the body can't be read: %v", err))
}

// httpProtocols are the protocols by their paths.
func (in *ingest) httpProtocols() map[string]httpProtocol {
	return map[string]httpProtocol{"/v1/ingest": in.newJSONPosts(), "/v1/logs": otlpPosts{in}}
}
