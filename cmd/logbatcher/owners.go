package main

import (
	"cmp"
	"os"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/owner"
)

// newOwners returns who owns which producers, as the instance with the log sees them. Nil: there are no owners, whatever the log knows is its
// own.
func (g *gateway) newOwners(journal owner.Journal, log string) *owner.Owners {
	if g.config.Producers.Owners == owner.None {
		return nil
	}
	name := g.config.Instance.ID
	if name == "" {
		host, _ := os.Hostname() // instanceID has failed without one
		name = cmp.Or(host, "unknown")
	}
	c := g.config.Producers
	c.Forgotten = g.config.Server.ProducerIdle
	return owner.New(g.redis, c, journal, log, name, g.config.Listen.GRPC, g.registry, g.log)
}
