package clickhouse

import (
	"hash/fnv"
	"sync"
)

// maxHomes bounds the batches whose address is remembered. A batch that is forgotten is asked for at all addresses.
const maxHomes = 1 << 16

// homes remembers which address a batch was sent to, so that its retries go there too.
type homes struct {
	mu    sync.Mutex // guards what follows
	of    map[string]*address
	order []string // oldest first; ids that are forgotten may still be in it
}

func (h *homes) get(batch string) *address {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[batch]
}

func (h *homes) set(batch string, a *address) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = map[string]*address{}
	}
	if h.of[batch] == nil {
		h.order = append(h.order, batch)
	}
	h.of[batch] = a
	for len(h.order) > maxHomes {
		delete(h.of, h.order[0])
		h.order = h.order[1:]
	}
}

func (h *homes) forget(batch string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of, batch)
}

// choose returns the address for the next attempt. Without a home it is one that is not away, a different one for
// different batches.
func (s *Sink) choose(batch string) *address {
	if len(s.addresses) == 1 {
		return s.addresses[0]
	}
	home := s.homes.get(batch)
	if home != nil && (s.config.Failover == FailoverNone || !home.isAway()) {
		return home
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(batch))
	first := int(hash.Sum32() % uint32(len(s.addresses)))
	chosen := s.addresses[first]
	for i := range s.addresses {
		if a := s.addresses[(first+i)%len(s.addresses)]; !a.isAway() {
			chosen = a
			break
		}
	}
	s.homes.set(batch, chosen)
	return chosen
}
