package server

import (
	"encoding/binary"
	"errors"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// formVersion is the first byte of an opening in the log.
const formVersion = 1

// formOf returns an opening as the log keeps it: the bounds within which its entries are decoded, and what they share. With it the
// entries of a request are the same in any later process, whatever that has for bounds and defaults.
func (c *Config) formOf(open *pb.Open) []byte {
	form := []byte{formVersion}
	for _, bound := range []int{int(c.MaxEntryBytes), c.MaxEntryAttributes, c.MaxOpenBytes} {
		form = binary.AppendUvarint(form, uint64(bound))
	}
	shared := pb.Open{
		Colo: or(open.Colo, c.Colo), ScopeName: open.ScopeName, ScopeVersion: open.ScopeVersion, ScopeSchemaUrl: open.ScopeSchemaUrl,
		ResourceSchemaUrl: open.ResourceSchemaUrl, ResourceAttributes: open.ResourceAttributes, ScopeAttributes: open.ScopeAttributes,
	}
	encoded, _ := shared.MarshalVT() // it has no way to fail
	return append(form, encoded...)
}

// entryBounds bound what an entry may be.
type entryBounds struct{ entryBytes, attributes, openBytes int }

// maxBound keeps sums and multiples of bounds within an int.
const maxBound = 1 << 30

var errBadForm = errors.New("the opening in the log can't be read")

// readForm reads what formOf has made.
func readForm(form []byte) (bounds entryBounds, shared *pb.Open, err error) {
	if len(form) == 0 || form[0] != formVersion {
		return bounds, nil, errBadForm
	}
	form = form[1:]
	for _, bound := range []*int{&bounds.entryBytes, &bounds.attributes, &bounds.openBytes} {
		v, n := binary.Uvarint(form)
		if n <= 0 || v == 0 || v > maxBound {
			return bounds, nil, errBadForm
		}
		*bound, form = int(v), form[n:]
	}
	shared = &pb.Open{}
	if err := shared.UnmarshalVT(form); err != nil {
		return bounds, nil, errBadForm
	}
	return bounds, shared, nil
}

// within returns the configuration for requests of the log with an opening.
func (c *Config) within(b entryBounds) *Config {
	bounded := *c
	bounded.MaxEntryBytes, bounded.MaxEntryAttributes, bounded.MaxOpenBytes = settings.Size(b.entryBytes), b.attributes, b.openBytes
	bounded.MaxRequestBytes, bounded.MaxRequestEntries = maxBound, maxBound
	return &bounded
}
