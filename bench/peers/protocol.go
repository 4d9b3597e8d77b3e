//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// A protocol is how records are sent.
type protocol int

const (
	otlpOverGRPC protocol = iota
	otlpOverHTTP
	linesOverHTTP
)

// A level is when LogBatcher answers a call. The Collector, which ignores it, answers when it has put the records into its queue.
type level string

const (
	received  level = "received"
	committed level = "committed"
)

// headerLevel is the header that asks for a level.
const headerLevel = "logbatcher-acknowledgement"

// A sender sends encoded requests. Anything but full success is an error.
type sender interface {
	send(ctx context.Context, request []byte) error
	close() error
}

func newSender(p protocol, level level, address string, parallel int) (sender, error) {
	switch p {
	case otlpOverHTTP:
		return newHTTPSender("http://"+address+"/v1/logs", "application/x-protobuf", level, parallel), nil
	case linesOverHTTP:
		parameters := url.Values{}
		for key, value := range rig.Resource(0) {
			parameters.Add("attribute", key+"="+value)
		}
		return newHTTPSender("http://"+address+"/v1/ingest?"+parameters.Encode(), "application/x-ndjson", level, parallel), nil
	}
	return newGRPCSender(address, level, parallel)
}

// exportMethod is OTLP's method for logs.
const exportMethod = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// rawCodec passes encoded messages on as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// grpcSender calls OTLP's Export over a few connections.
type grpcSender struct {
	level level
	conns chan *grpc.ClientConn // the next one to use
}

// maxConnections is how many connections the calls share at most, as several SDKs would have.
const maxConnections = 8

func newGRPCSender(address string, level level, parallel int) (*grpcSender, error) {
	connections := min(parallel, maxConnections)
	s := &grpcSender{level: level, conns: make(chan *grpc.ClientConn, connections)}
	for range connections {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.conns <- conn
	}
	return s, nil
}

func (s *grpcSender) send(ctx context.Context, request []byte) error {
	conn := <-s.conns
	s.conns <- conn
	var response []byte
	if err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, headerLevel, string(s.level)), exportMethod, &request, &response); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	// The Collector answers with an empty partial success, LogBatcher with nothing.
	if answer := string(response); answer != "" && answer != "\x0a\x00" {
		return fmt.Errorf("export: not everything was taken: %q", answer)
	}
	return nil
}

func (s *grpcSender) close() (err error) {
	close(s.conns)
	for conn := range s.conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}

// httpSender posts requests.
type httpSender struct {
	client           *http.Client
	url, contentType string
	level            level
}

func newHTTPSender(url, contentType string, level level, parallel int) *httpSender {
	return &httpSender{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: parallel}}, url: url, contentType: contentType, level: level}
}

func (s *httpSender) send(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", s.contentType)
	request.Header.Set(headerLevel, string(s.level))
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || bytes.Contains(answer, []byte("refus")) {
		return fmt.Errorf("POST %s: %s: %s", s.url, response.Status, strings.TrimSpace(string(answer)))
	}
	return nil
}

func (s *httpSender) close() error {
	s.client.CloseIdleConnections()
	return nil
}
