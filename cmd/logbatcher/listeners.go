package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// listeners accepts the connections of several ports as those of one. Its address is the first one's.
type listeners struct {
	net.Listener
	others   []net.Listener
	once     sync.Once
	accepted chan acceptance
	closed   chan struct{}
	// accepting are the goroutines of Accept. Close joins them.
	accepting sync.WaitGroup
}

// acceptance is what a port's Accept has returned.
type acceptance struct {
	conn net.Conn
	err  error
}

// listenAddress is an address and its setting.
type listenAddress struct{ setting, address string }

// listenOn opens ports, except those without an address. It returns nil if no port has one.
func listenOn(addresses ...listenAddress) (net.Listener, error) {
	var opened []net.Listener
	for _, a := range addresses {
		if a.address == "" {
			continue
		}
		l, err := net.Listen("tcp", a.address)
		if err != nil {
			for _, l := range opened {
				_ = l.Close()
			}
			return nil, fmt.Errorf("%s: %w", a.setting, err)
		}
		opened = append(opened, l)
	}
	switch len(opened) {
	case 0:
		return nil, nil
	case 1:
		return opened[0], nil
	}
	return &listeners{Listener: opened[0], others: opened[1:], accepted: make(chan acceptance), closed: make(chan struct{})}, nil
}

// all returns the ports.
func (l *listeners) all() []net.Listener { return append([]net.Listener{l.Listener}, l.others...) }

// Accept implements net.Listener.
func (l *listeners) Accept() (net.Conn, error) {
	l.once.Do(func() {
		for _, each := range l.all() {
			l.accepting.Go(func() { l.acceptFrom(each) })
		}
	})
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// acceptFrom accepts from one port until it is closed. Errors are for the caller of Accept, who knows which to wait after.
func (l *listeners) acceptFrom(port net.Listener) {
	for {
		conn, err := port.Accept()
		select {
		case l.accepted <- acceptance{conn, err}:
		case <-l.closed:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
	}
}

// Close implements net.Listener. It is called once.
func (l *listeners) Close() error {
	close(l.closed)
	var err error
	for _, each := range l.all() {
		err = errors.Join(err, each.Close())
	}
	l.accepting.Wait()
	return err
}
