package batch

import (
	"fmt"
	"hash/fnv"
)

// RowRange is the rows [From, To) of a batch, counted from 0.
type RowRange struct{ From, To int }

// RowSet is a set of rows of a batch, as ranges in order that do not touch.
type RowSet []RowRange

// Add appends a range that begins at the end of the set or later.
func (s RowSet) Add(r RowRange) RowSet {
	if n := len(s); n > 0 && s[n-1].To == r.From {
		s[n-1].To = r.To
		return s
	}
	return append(s, r)
}

// Size returns the number of rows.
func (s RowSet) Size() int {
	size := 0
	for _, r := range s {
		size += r.To - r.From
	}
	return size
}

// Has reports whether the row is in the set.
func (s RowSet) Has(row int) bool {
	for _, r := range s {
		if r.From <= row && row < r.To {
			return true
		}
	}
	return false
}

// Slice returns the rows with the indexes [from, to) within the set.
func (s RowSet) Slice(from, to int) RowSet {
	var part RowSet
	start := 0
	for _, r := range s {
		size := r.To - r.From
		if first, after := max(from-start, 0), min(to-start, size); first < after {
			part = append(part, RowRange{r.From + first, r.From + after})
		}
		start += size
	}
	return part
}

// Halves splits the set into two of about the same size.
func (s RowSet) Halves() (RowSet, RowSet) {
	size := s.Size()
	return s.Slice(0, size/2), s.Slice(size/2, size)
}

// Minus returns the rows that are not in other, which must be a subset.
func (s RowSet) Minus(other RowSet) RowSet {
	var rest RowSet
	for _, r := range s {
		for len(other) > 0 && other[0].From < r.To {
			if r.From < other[0].From {
				rest = append(rest, RowRange{r.From, other[0].From})
			}
			r.From = other[0].To
			other = other[1:]
		}
		if r.From < r.To {
			rest = append(rest, r)
		}
	}
	return rest
}

// Of returns the rows at the indexes within.
func (s RowSet) Of(within RowSet) RowSet {
	var rows RowSet
	start := 0
	for _, r := range s {
		end := start + r.To - r.From
		for len(within) > 0 && within[0].From < end {
			last := min(within[0].To, end)
			rows = rows.Add(RowRange{r.From + within[0].From - start, r.From + last - start})
			if last == within[0].To {
				within = within[1:]
				continue
			}
			within = append(RowSet{{last, within[0].To}}, within[1:]...)
		}
		start = end
	}
	return rows
}

// ID returns an id of the set that never changes: the batch's, its first and last row and, if rows between them are missing, a hash
// of its ranges.
func (s RowSet) ID(batch string) string {
	id := fmt.Sprintf("%s.%d-%d", batch, s[0].From, s[len(s)-1].To-1)
	if len(s) == 1 {
		return id
	}
	hash := fnv.New64a()
	for _, r := range s {
		fmt.Fprintf(hash, "%d-%d,", r.From, r.To-1)
	}
	return fmt.Sprintf("%s.%016x", id, hash.Sum64())
}
