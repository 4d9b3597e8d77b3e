package journal

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The kinds of records. They are on disks: never renumber them.
const (
	// kindOpening has what the requests of a stream share. It is written again at the first request in a segment.
	kindOpening uint8 = iota + 1
	// kindBegin says that a producer begins or adopts an epoch.
	kindBegin
	// kindRequest is a request as received.
	kindRequest
	// kindPlaced says that a request of which something was refused is in files, but for that.
	kindPlaced
	// kindOutcome is the whole outcome of a request, if there is anything to tell.
	kindOutcome
	// kindSettled says that all rows of a file have their outcome: the file is of no use any more.
	kindSettled
	// kindForget says that a producer expired, was released or handed over.
	kindForget
	// kindDrop says that requests of a producer are another instance's, which has accepted them too.
	kindDrop
	// kindDamage says that the disk has damaged a file so much that nobody knows what was in it.
	kindDamage
	// kindResolve says that an operator has removed what was left of a damaged file.
	kindResolve
)

var kindNames = map[uint8]string{
	kindOpening: "opening", kindBegin: "begin", kindRequest: "request", kindPlaced: "placed", kindOutcome: "outcome",
	kindSettled: "settled", kindForget: "forget", kindDrop: "drop", kindDamage: "damage", kindResolve: "resolve",
}

// requestRecord is a request in the log. Its opening is a record before it; 0: it has none.
type requestRecord struct {
	opening uint64
	schema.LoggedRequest
}

// putRequest appends a request but for its data, which comes behind. The opening has a place of its own, which is set last.
func putRequest(b []byte, r *schema.LoggedRequest, routing string) []byte {
	b = append(b, version)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, r.Sum)
	b = putText(b, r.Tenant)
	b = putText(b, r.Producer)
	b = putUint(b, r.Epoch)
	b = putUint(b, r.Sequence)
	b = putInt(b, r.Received.UnixNano())
	b = putText(b, routing)
	b = putText(b, r.Protocol)
	b = putUint(b, uint64(r.Entries))
	b = putTexts(b, r.Routes)
	return putRefusals(b, r.Refusals)
}

func setOpening(b []byte, opening uint64) { binary.LittleEndian.PutUint64(b[1:], opening) }

// decodeRequest reads a request. Its data is that of the record.
func decodeRequest(b []byte) (*requestRecord, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	r := &requestRecord{opening: d.fixed()}
	r.Sum = d.fixed()
	r.Tenant, r.Producer, r.Epoch, r.Sequence = d.text(), d.text(), d.uint(), d.uint()
	r.Received = time.Unix(0, d.int())
	r.Routing, r.Protocol, r.Entries = d.text(), d.text(), d.number()
	r.Routes, r.Refusals = d.texts(), d.refusals()
	r.Data = d.b
	if d.bad {
		return nil, errDamaged
	}
	return r, nil
}

// beginRecord is a producer's epoch.
type beginRecord struct {
	producerKey
	epoch, start uint64
}

func (r *beginRecord) put(b []byte) []byte {
	return putUint(putUint(r.producerKey.put(b), r.epoch), r.start)
}

func decodeBegin(b []byte) (*beginRecord, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	return &beginRecord{producerKey{d.text(), d.text()}, d.uint(), d.uint()}, d.end()
}

// placedRecord has what was refused of a request whose rows are all in files.
type placedRecord struct {
	lsn     uint64
	outcome *schema.Outcome
}

func (r *placedRecord) put(b []byte) []byte {
	return putOutcome(putUint(append(b, version), r.lsn), r.outcome)
}

func decodePlaced(b []byte) (*placedRecord, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	return &placedRecord{d.uint(), d.outcome()}, d.end()
}

// outcomeRecord is the outcome of a request, whose own record may be gone.
type outcomeRecord struct {
	lsn uint64
	producerKey
	epoch, sequence uint64
	entries         int
	outcome         *schema.Outcome
}

func (r *outcomeRecord) put(b []byte) []byte {
	b = putUint(append(b, version), r.lsn)
	b = putText(putText(b, r.tenant), r.id)
	b = putUint(putUint(b, r.epoch), r.sequence)
	return putOutcome(putUint(b, uint64(r.entries)), r.outcome)
}

func decodeOutcome(b []byte) (*outcomeRecord, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	return &outcomeRecord{d.uint(), producerKey{d.text(), d.text()}, d.uint(), d.uint(), d.number(), d.outcome()}, d.end()
}

// settledRecord is what has become of a file's rows.
type settledRecord struct {
	id                      string
	at                      time.Time
	committed, deadLettered int
	contents                *contents
}

func (r *settledRecord) put(b []byte) []byte {
	b = putInt(putText(append(b, version), r.id), r.at.Unix())
	b = putUint(putUint(b, uint64(r.committed)), uint64(r.deadLettered))
	return r.contents.put(b)
}

func decodeSettled(b []byte) (*settledRecord, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	return &settledRecord{d.text(), time.Unix(d.int(), 0), d.number(), d.number(), d.contents()}, d.end()
}

func (k *producerKey) put(b []byte) []byte {
	return putText(putText(append(b, version), k.tenant), k.id)
}

func decodeProducer(b []byte) (producerKey, error) {
	d, err := decode(b)
	if err != nil {
		return producerKey{}, err
	}
	return producerKey{d.text(), d.text()}, d.end()
}

// dropRecord names the requests of a producer that are another instance's.
type dropRecord struct {
	producerKey
	epoch, above uint64
}

func (r *dropRecord) put(b []byte) []byte {
	return putUint(putUint(r.producerKey.put(b), r.epoch), r.above)
}

func decodeDrop(b []byte) (*dropRecord, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	return &dropRecord{producerKey{d.text(), d.text()}, d.uint(), d.uint()}, d.end()
}

// putID appends the record of a file of which only the id is known.
func putID(b []byte, id string) []byte { return putText(append(b, version), id) }

func decodeID(b []byte) (string, error) {
	d, err := decode(b)
	if err != nil {
		return "", err
	}
	return d.text(), d.end()
}

// contents are what a file has of the log's requests.
type contents struct {
	schema.Contents
	// entries are those of each part's request, all of them.
	entries []int
}

// rows returns the number of the file's rows.
func (c *contents) rows() (rows int) {
	for i := range c.Parts {
		for _, p := range c.Parts[i].Places {
			rows += int(p.To - p.From)
		}
	}
	return rows
}

func (c *contents) put(b []byte) []byte {
	b = putText(putText(putText(b, c.Routing), c.Route), c.Table)
	b = putUint(b, uint64(len(c.Parts)))
	for i := range c.Parts {
		p := &c.Parts[i]
		b = putUint(b, p.LSN)
		b = putText(putText(b, p.Tenant), p.Producer)
		b = putUint(putUint(b, p.Epoch), p.Sequence)
		b = putUint(b, uint64(c.entries[i]))
		b = putRanges(b, p.Places)
	}
	return b
}

func (d *decoder) contents() *contents {
	c := &contents{Contents: schema.Contents{Routing: d.text(), Route: d.text(), Table: d.text()}}
	n := d.count(7)
	c.Parts, c.entries = make([]schema.Part, 0, n), make([]int, 0, n)
	var tenant, producer string // of the part before: many are of the same
	same := func(last *string) string {
		if text := d.bytes(); *last != string(text) {
			*last = string(text)
		}
		return *last
	}
	for range n {
		p := schema.Part{LSN: d.uint(), Tenant: same(&tenant), Producer: same(&producer), Epoch: d.uint(), Sequence: d.uint()}
		c.entries = append(c.entries, d.number())
		p.Places = d.ranges()
		c.Parts = append(c.Parts, p)
	}
	return c
}

func decodeHead(b []byte) (*contents, []byte, error) {
	d, err := decode(b)
	if err != nil {
		return nil, nil, err
	}
	c := d.contents()
	if d.bad {
		return nil, nil, errDamaged
	}
	return c, d.b, nil
}

// KindName returns the name of a kind of record.
func KindName(kind uint8) string {
	if name := kindNames[kind]; name != "" {
		return name
	}
	return fmt.Sprintf("kind %d", kind)
}
