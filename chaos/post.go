//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
)

// postEntries is the most entries of a request over HTTP. They come one at a time.
const postEntries = 3000

// posts reports whether a producer sends over HTTP instead of a stream. Without a log that is exactly once only while no gateway ends.
func (o *options) posts(producer int) bool { return o.log && producer%8 == 6 }

// post sends all numbers over HTTP, with a producer and a sequence, and returns once they are committed.
func (p *producer) post(ctx context.Context) error {
	random := rand.New(rand.NewPCG(p.plan.seed, 100+uint64(p.index)))
	began := time.Now()
	for sequence := uint64(1); p.next.Load() < p.plan.entries; sequence++ {
		from := p.next.Load()
		to := min(from+1+random.Uint64N(postEntries), p.plan.entries)
		rest(ctx, time.Until(began.Add(time.Duration(from)*p.pace)))
		var body bytes.Buffer
		for _, e := range p.request(from, to) {
			line, err := protojson.Marshal(e)
			if err != nil {
				return err
			}
			body.Write(append(line, '\n'))
		}
		level := "committed"
		if random.IntN(2) == 0 {
			level = "logged"
		}
		// What is logged only is committed some time later: the last request waits for it.
		last := to == p.plan.entries
		for done := false; !done; {
			committed, err := p.postUntilTaken(ctx, sequence, level, body.Bytes())
			if err != nil {
				return fmt.Errorf("producer %d, sequence %d: %w", p.index, sequence, err)
			}
			p.committed.Store(committed)
			if done = !last || committed >= sequence; !done {
				rest(ctx, 100*time.Millisecond)
			}
		}
		p.next.Store(to)
	}
	return nil
}

// postUntilTaken repeats a request until it is answered with 200. It returns the watermark in the answer.
func (p *producer) postUntilTaken(ctx context.Context, sequence uint64, level string, body []byte) (committed uint64, err error) {
	for ctx.Err() == nil {
		status, answer, err := p.postOnce(ctx, sequence, level, body)
		switch {
		case err == nil && status == http.StatusOK:
			var told struct{ CommittedSequence json.Number }
			if err := json.Unmarshal(answer, &told); err != nil {
				return 0, fmt.Errorf("the answer %s: %w", answer, err)
			}
			return strconv.ParseUint("0"+told.CommittedSequence.String(), 10, 64)
		case err == nil && status < 500:
			return 0, fmt.Errorf("status %d: %s", status, answer)
		}
		p.breaks.Add(1)
		p.log.Info("post", "producer", p.index, "sequence", sequence, "status", status, "answer", string(answer), "error", err)
		rest(ctx, 100*time.Millisecond)
	}
	return 0, context.Cause(ctx)
}

func (p *producer) postOnce(ctx context.Context, sequence uint64, level string, body []byte) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.httpAddress+"/v1/ingest?format=entry", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("logbatcher-producer", fmt.Sprintf("chaos/%d", p.index))
	request.Header.Set("logbatcher-sequence", strconv.FormatUint(sequence, 10))
	request.Header.Set("logbatcher-acknowledgement", level)
	response, err := poster.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// poster gives up after a while: a connection may have been stopped.
var poster = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
