package sink

import (
	"fmt"
	"hash/fnv"
)

// RowRange is the rows From to To of a batch, without To, counted from 0.
type RowRange struct{ From, To int }

// rowSet is rows of a batch, as ranges that are in order and don't touch.
type rowSet []RowRange

// add appends a range that begins where the set ends, or after it.
func (s rowSet) add(r RowRange) rowSet {
	if n := len(s); n > 0 && s[n-1].To == r.From {
		s[n-1].To = r.To
		return s
	}
	return append(s, r)
}

func (s rowSet) size() int {
	size := 0
	for _, r := range s {
		size += r.To - r.From
	}
	return size
}

func (s rowSet) has(row int) bool {
	for _, r := range s {
		if r.From <= row && row < r.To {
			return true
		}
	}
	return false
}

// slice returns the set's rows from to to, without to, counted within the set.
func (s rowSet) slice(from, to int) rowSet {
	var part rowSet
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

// halves returns two sets of about as many rows, the earlier rows first.
func (s rowSet) halves() (rowSet, rowSet) {
	size := s.size()
	return s.slice(0, size/2), s.slice(size/2, size)
}

// minus returns the rows that are not in other, which is a part of s.
func (s rowSet) minus(other rowSet) rowSet {
	var rest rowSet
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

// of translates a set that counts within s into rows of the batch.
func (s rowSet) of(within rowSet) rowSet {
	var rows rowSet
	start := 0
	for _, r := range s {
		end := start + r.To - r.From
		for len(within) > 0 && within[0].From < end {
			last := min(within[0].To, end)
			rows = rows.add(RowRange{r.From + within[0].From - start, r.From + last - start})
			if last == within[0].To {
				within = within[1:]
				continue
			}
			within = append(rowSet{{last, within[0].To}}, within[1:]...)
		}
		start = end
	}
	return rows
}

// id names the set for ever: by its first and last row and, where rows between them are missing, a hash of its ranges.
func (s rowSet) id(batch string) string {
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
