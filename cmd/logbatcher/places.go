package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"path/filepath"
)

// places are how far `logbatcher send --spill` has sent each file. They are in the spill together with the entries, as its mark.
type places struct {
	known map[string]position // by absolute path; never changed, only replaced
}

// position is how far a file was sent.
type position struct {
	First   uint64 // hash of the first entry, by which the file is known
	Entries int
	Last    uint64 // hash of the last entry
}

// newPlaces reads a mark.
func newPlaces(mark []byte) (*places, error) {
	p := &places{known: map[string]position{}}
	if mark == nil {
		return p, nil
	}
	if err := json.Unmarshal(mark, &p.known); err != nil {
		return nil, fmt.Errorf("how far files were sent: %w", err)
	}
	return p, nil
}

// place is where the reading of a file is.
type place struct {
	path   string
	others map[string]position
	before position // how far it was sent before; zero if it is another file
	at     position
}

// begin returns where the reading of a file begins.
func (p *places) begin(path string) (*place, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return &place{path: path, others: p.known, before: p.known[path]}, nil
}

// next counts an entry. It reports whether that was sent before, and otherwise returns what makes the mark that is left with it.
func (p *place) next(body string) (mark func() []byte, before bool) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(body)) // never fails
	sum := hash.Sum64()
	if p.at.Entries++; p.at.Entries == 1 {
		p.at.First = sum
		if p.before.First != sum {
			p.before = position{} // another file
		}
	}
	p.at.Last = sum
	if p.at.Entries < p.before.Entries || p.at.Entries == p.before.Entries && sum == p.before.Last {
		return nil, true
	}
	path, others, at := p.path, p.others, p.at
	return func() []byte {
		all := maps.Clone(others)
		all[path] = at
		mark, err := json.Marshal(all)
		if err != nil {
			panic(err) // there is nothing in it that JSON can't encode
		}
		return mark
	}, false
}

// ended returns an error if the file has ended before the place up to which it was sent. A nil place has none.
func (p *place) ended() error {
	if p == nil || p.at.Entries == 0 || p.at.Entries >= p.before.Entries {
		return nil
	}
	return fmt.Errorf("read %s: it has %d entries, and %d were sent before: it was cut, or is another file; send it with another --spill folder",
		p.path, p.at.Entries, p.before.Entries)
}

// end keeps where the reading of a file has ended.
func (p *places) end(at *place) {
	if at.at.Entries == 0 || at.at.Entries < at.before.Entries {
		return
	}
	p.known = maps.Clone(p.known)
	p.known[at.path] = at.at
}
