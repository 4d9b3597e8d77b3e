package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// noteVersion is the version of notes. A program that does not know it leaves the batch alone.
const noteVersion = 1

// note is a step of a delivery that another process must know of to go on, written to the batch's file before it takes effect. What is not
// noted is found out by asking for the pieces that are left.
type note struct {
	Version int `json:"version"`
	// Piece is the id of the piece that the note is about. Empty: the note is about the batch.
	Piece string `json:"piece,omitempty"`
	// Parts and Refused have taken the piece's place.
	Parts   []noteRows    `json:"parts,omitempty"`
	Refused []noteRefusal `json:"refused,omitempty"`
	// Suffix counts the piece's burned tokens, if the last one was burned.
	Suffix int `json:"suffix,omitempty"`
	// Settled means that no piece is left: Committed rows are in the table, and what remains is to write the dead letters.
	Settled   bool `json:"settled,omitempty"`
	Committed int  `json:"committed,omitempty"`
}

// noteRefusal is a refusal.
type noteRefusal struct {
	Rows   noteRows   `json:"rows"`
	Letter DeadLetter `json:"letter"`
}

// noteRows is a set of rows: for each range the rows before it, and in it.
type noteRows []int

func makeNoteRows(rows batch.RowSet) noteRows {
	set := make(noteRows, 0, 2*len(rows))
	end := 0
	for _, r := range rows {
		set = append(set, r.From-end, r.To-r.From)
		end = r.To
	}
	return set
}

var errNote = errors.New("a note about it is damaged")

// rows returns the set, which has to be one of a batch with that many rows.
func (n noteRows) rows(total int) (batch.RowSet, error) {
	var rows batch.RowSet
	end := 0
	for i := 0; i+1 < len(n); i += 2 {
		if n[i] < 0 || n[i] == 0 && i > 0 || n[i+1] < 1 || n[i] > total-end || n[i+1] > total-end-n[i] {
			return nil, errNote
		}
		rows = append(rows, batch.RowRange{From: end + n[i], To: end + n[i] + n[i+1]})
		end += n[i] + n[i+1]
	}
	if len(rows) == 0 || len(n)%2 > 0 {
		return nil, errNote
	}
	return rows, nil
}

// note writes a note, and returns once it is durable. The error is that of ctx.
func (v *delivery) note(ctx context.Context, n *note) error {
	if v.file == nil {
		return nil
	}
	n.Version = noteVersion
	data, err := json.Marshal(n)
	if err != nil {
		panic("sink: write a note as JSON: " + err.Error()) // can't happen: it has no value that JSON lacks
	}
	return v.file.Note(ctx, data)
}

// noteParts notes that parts and refusals take the place of a piece, before any part is inserted.
func (v *delivery) noteParts(ctx context.Context, p *piece, parts []*piece, refused []refusal) error {
	n := &note{Piece: v.pieceID(p)}
	for _, part := range parts {
		n.Parts = append(n.Parts, makeNoteRows(part.rows))
	}
	for _, r := range refused {
		n.Refused = append(n.Refused, noteRefusal{makeNoteRows(r.rows), r.DeadLetter})
	}
	return v.note(ctx, n)
}

// noteBurned notes that a piece has that many burned tokens, before the first insert with the next one.
func (v *delivery) noteBurned(ctx context.Context, p *piece, suffix int) error {
	return v.note(ctx, &note{Piece: v.pieceID(p), Suffix: suffix})
}

// noteSettled notes that no piece is left, before the first dead letter is written. From then on the rest of the rows are dead letters,
// whatever becomes of the table.
func (v *delivery) noteSettled(ctx context.Context) error {
	return v.note(ctx, &note{Settled: true, Committed: v.outcome.Committed})
}

// restore takes the state of a batch of an earlier process from its notes, and returns the pieces that are left. Attempts of that process
// may still be under way for any of them, so each begins as one whose last attempt has begun now and has an unknown fate.
func (v *delivery) restore(notes [][]byte) ([]*piece, error) {
	pieces := []*piece{{rows: batch.RowSet{{To: v.block.Rows()}}, block: v.block}}
	settled := false
	for i, data := range notes {
		if settled { // the same once more
			break
		}
		var n note
		err := json.Unmarshal(data, &n)
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %w", errNote, err)
		case n.Version != noteVersion:
			err = fmt.Errorf("a note about it has version %d, this program knows %d", n.Version, noteVersion)
		case n.Settled:
			settled = true
			err = v.restoreSettled(&n)
		default:
			pieces, err = v.restorePiece(pieces, &n)
		}
		if err != nil {
			return nil, fmt.Errorf("note %d: %w", i+1, err)
		}
	}
	if settled {
		return nil, nil
	}
	now := time.Now()
	for _, p := range pieces {
		s := &p.settling
		s.touched, s.uncertain, s.arrived = true, true, now
	}
	return pieces, nil
}

func (v *delivery) restoreSettled(n *note) error {
	left := v.block.Rows() - n.Committed
	for _, r := range v.refused {
		left -= r.rows.Size()
	}
	if n.Committed < 0 || left != 0 {
		return errNote
	}
	v.outcome.Committed = n.Committed
	return nil
}

// restorePiece follows a note about one of the pieces, and returns those that are left.
func (v *delivery) restorePiece(pieces []*piece, n *note) ([]*piece, error) {
	at := slices.IndexFunc(pieces, func(p *piece) bool { return v.pieceID(p) == n.Piece })
	if at < 0 || n.Suffix < 0 {
		return nil, errNote
	}
	p := pieces[at]
	if n.Suffix > 0 {
		p.settling.suffix = n.Suffix
		return pieces, nil
	}
	var parts []*piece
	var taken []batch.RowRange
	take := func(set noteRows) (batch.RowSet, error) {
		rows, err := set.rows(v.block.Rows())
		taken = append(taken, rows...)
		return rows, err
	}
	for _, set := range n.Parts {
		rows, err := take(set)
		if err != nil {
			return nil, err
		}
		parts = append(parts, &piece{rows: rows})
	}
	for _, r := range n.Refused {
		rows, err := take(r.Rows)
		if err != nil {
			return nil, err
		}
		v.refused = append(v.refused, refusal{rows: rows, DeadLetter: r.Letter})
	}
	// Each of the piece's rows is in one of them.
	slices.SortFunc(taken, func(a, b batch.RowRange) int { return cmp.Compare(a.From, b.From) })
	var whole batch.RowSet
	for _, r := range taken {
		if len(whole) > 0 && r.From < whole[len(whole)-1].To {
			return nil, errNote
		}
		whole = whole.Add(r)
	}
	if !slices.Equal(whole, p.rows) {
		return nil, errNote
	}
	v.tries += len(parts)
	return slices.Replace(pieces, at, at+1, parts...), nil
}
