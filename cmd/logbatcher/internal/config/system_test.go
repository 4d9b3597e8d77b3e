package config

import "testing"

func TestConnectionsFor(t *testing.T) {
	for _, c := range []struct{ streams, descriptors, want int }{
		{10000, 1024, 384}, {10000, 1 << 20, 10128}, {100, 1024, 228}, {10000, 256, 64}, {10000, 0, 10128}, {1, 2, 1},
	} {
		if got := connectionsFor(c.streams, c.descriptors); got != c.want {
			t.Errorf("%d streams and %d descriptors: %d connections, want %d", c.streams, c.descriptors, got, c.want)
		}
	}
	if descriptors() <= 0 {
		t.Error("the limit of descriptors is not known")
	}
	c := Default()
	if p := c.Capacity(); p.MaxConnections < 1 {
		t.Errorf("%+v", p)
	}
	c.Server.Limits.MaxConnections = 7
	if p := c.Capacity(); p.MaxConnections != 7 {
		t.Errorf("%+v", p)
	}
}
