package batch

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// list returns the rows of a set one by one.
func (s RowSet) list() []int {
	rows := []int{}
	for _, r := range s {
		for i := r.From; i < r.To; i++ {
			rows = append(rows, i)
		}
	}
	return rows
}

// randomSet returns a set of some of the rows 0 to n, whose ranges don't touch.
func randomSet(random *rand.Rand, n int) RowSet {
	var s RowSet
	share := random.Float64()
	for i := range n {
		if random.Float64() < share {
			s = s.Add(RowRange{i, i + 1})
		}
	}
	return s
}

func TestRowSets(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	ids := map[string]string{}
	for range 3000 {
		s := randomSet(random, 1+random.IntN(60))
		rows := s.list()
		if s.Size() != len(rows) {
			t.Fatalf("%v has size %d, want %d", s, s.Size(), len(rows))
		}
		within := randomSet(random, len(rows))
		var picked, rest []int
		for i, row := range rows {
			if slices.Contains(within.list(), i) {
				picked = append(picked, row)
			} else {
				rest = append(rest, row)
			}
		}
		if got := s.Of(slices.Clone(within)); !slices.Equal(got.list(), picked) {
			t.Fatalf("%v of %v is %v, want %v", within, s, got.list(), picked)
		}
		if got := s.Minus(s.Of(within)); !slices.Equal(got.list(), rest) {
			t.Fatalf("%v without %v is %v, want %v", s, picked, got.list(), rest)
		}
		from := random.IntN(len(rows) + 1)
		to := from + random.IntN(len(rows)-from+1)
		if got := s.Slice(from, to); !slices.Equal(got.list(), rows[from:to]) {
			t.Fatalf("%v from %d to %d is %v, want %v", s, from, to, got.list(), rows[from:to])
		}
		if first, second := s.Halves(); !slices.Equal(append(first.list(), second.list()...), rows) || second.Size()-first.Size() > 1 {
			t.Fatalf("halves of %v are %v and %v", s, first, second)
		}
		for _, set := range []RowSet{s, s.Of(within), s.Minus(s.Of(within))} {
			for i := 1; i < len(set); i++ {
				if set[i].From <= set[i-1].To {
					t.Fatalf("ranges of %v touch", set)
				}
			}
			if len(set) == 0 {
				continue
			}
			text := string(runes(set.list()))
			if other, known := ids[set.ID("b")]; known && other != text {
				t.Fatalf("two sets have the id %s", set.ID("b"))
			}
			ids[set.ID("b")] = text
		}
	}
	if id := (RowSet{{3, 7}}).ID("b"); id != "b.3-6" {
		t.Errorf("id %q, want the range", id)
	}
}

func runes(rows []int) []rune {
	text := make([]rune, len(rows))
	for i, row := range rows {
		text[i] = rune(row + 1)
	}
	return text
}
