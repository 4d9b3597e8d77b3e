package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestListeners(t *testing.T) {
	joined, err := listenOn(listenAddress{"a", "127.0.0.1:0"}, listenAddress{"none", ""}, listenAddress{"b", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range joined.(*listeners).all() {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := joined.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.Write([]byte("x"))
		_ = client.Close()
		if text, err := io.ReadAll(server); string(text) != "x" {
			t.Errorf("read %q, %v", text, err)
		}
		_ = server.Close()
	}
	if _, err := listenOn(listenAddress{"first", "127.0.0.1:0"}, listenAddress{"listen.taken", joined.Addr().String()}); err == nil ||
		!strings.HasPrefix(err.Error(), "listen.taken: ") {
		t.Errorf("a taken port: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := joined.Accept()
		waiting <- err
	}()
	unserved, err := net.Dial("tcp", joined.Addr().String()) // it may be accepted by nobody
	if err == nil {
		defer unserved.Close()
	}
	if err := joined.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := joined.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if l, err := listenOn(listenAddress{"none", ""}); l != nil || err != nil {
		t.Errorf("nothing to listen on: %v, %v", l, err)
	}
}
