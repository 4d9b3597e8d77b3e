package journal

import (
	"fmt"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Describe returns a line about a record, for people.
func Describe(kind uint8, payload []byte) string {
	text, err := describe(kind, payload)
	if err != nil {
		return fmt.Sprintf("%d bytes that can't be read: %v", len(payload), err)
	}
	return text
}

func describe(kind uint8, payload []byte) (string, error) {
	switch kind {
	case kindOpening:
		if _, err := decode(payload); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d bytes that the requests of a stream share", len(payload)-1), nil
	case kindBegin:
		r, err := decodeBegin(payload)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s begins epoch %d after request %d", &r.producerKey, r.epoch, r.start), nil
	case kindRequest:
		r, err := decodeRequest(payload)
		if err != nil {
			return "", err
		}
		text := fmt.Sprintf("%s, epoch %d, request %d: %d entries in %d bytes of %s, received %s, routing %s, opening in record %d",
			&producerKey{r.Tenant, r.Producer}, r.Epoch, r.Sequence, r.Entries, len(r.Data), r.Protocol, r.Received.UTC().Format(time.RFC3339Nano), r.Routing, r.opening)
		if len(r.Routes) > 0 {
			text += ", for " + strings.Join(r.Routes, ", ")
		}
		return text + refusedText(len(r.Refusals)), nil
	case kindPlaced:
		r, err := decodePlaced(payload)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("the rows of record %d are in files%s", r.lsn, outcomeText(r.outcome)), nil
	case kindOutcome:
		r, err := decodeOutcome(payload)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, epoch %d, request %d, record %d, %d entries: settled%s", &r.producerKey, r.epoch, r.sequence, r.lsn, r.entries, outcomeText(r.outcome)), nil
	case kindSettled:
		r, err := decodeSettled(payload)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("file %s of %s: %d rows in the table, %d in dead letters, at %s; rows of %d requests",
			r.id, tableText(r.contents.Table), r.committed, r.deadLettered, r.at.UTC().Format(time.RFC3339), len(r.contents.Parts)), nil
	case kindForget:
		r, err := decodeProducer(payload)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s is forgotten", &r), nil
	case kindDrop:
		r, err := decodeDrop(payload)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s: what follows request %d of epoch %d is another instance's", &r.producerKey, r.above, r.epoch), nil
	case kindDamage, kindResolve:
		id, err := decodeID(payload)
		if err != nil {
			return "", err
		}
		if kind == kindDamage {
			return "the contents of file " + id + " are lost: what it may have had is held", nil
		}
		return "the damaged file " + id + " is done with", nil
	}
	return "", ErrVersion
}

// String returns the producer's name, for people.
func (k *producerKey) String() string {
	if k.tenant == "" {
		return fmt.Sprintf("producer %q", k.id)
	}
	return fmt.Sprintf("producer %q of tenant %q", k.id, k.tenant)
}

func outcomeText(o *schema.Outcome) string {
	text := refusedText(len(o.Refusals))
	if o.Unmatched > 0 {
		text += fmt.Sprintf(", %d unmatched", o.Unmatched)
	}
	rows := 0
	for i := range o.DeadLettered {
		rows += o.DeadLettered[i].Rows
	}
	if rows > 0 {
		text += fmt.Sprintf(", %d rows dead-lettered", rows)
	}
	return text
}

func refusedText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d refused", n)
}

func tableText(table string) string {
	if table == "" {
		return "entries that matched no route"
	}
	return table
}

// DescribeFile returns a line about a file by its head, for people.
func DescribeFile(head []byte) string {
	c, _, err := decodeHead(head)
	if err != nil {
		return fmt.Sprintf("a head of %d bytes that can't be read: %v", len(head), err)
	}
	return fmt.Sprintf("%d rows of %d requests for %s, route %q, routing %s", c.rows(), len(c.Parts), tableText(c.Table), c.Route, c.Routing)
}

// DescribeCheckpoint returns a line about a checkpoint, for people.
func DescribeCheckpoint(payload []byte) string {
	s, err := unmarshalState(payload)
	if err != nil {
		return fmt.Sprintf("%d bytes that can't be read: %v", len(payload), err)
	}
	producers, unplaced := 0, 0
	for _, p := range s.producers {
		if p.known {
			producers++
		}
	}
	for _, q := range s.requests {
		if !q.placed {
			unplaced++
		}
	}
	return fmt.Sprintf("%d producers, %d requests that are not all in files, books of %d tables, %d settled files that may be there, %d damaged files",
		producers, unplaced, len(s.tables), len(s.settled), len(s.damaged))
}
