package schema

import "strings"

// DidYouMean returns the known word most similar to word, or "" if none is similar: at most a third of the letters
// may differ, but always one.
func DidYouMean(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	lower := strings.ToLower(word)
	for _, candidate := range known {
		if d := distance(lower, strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance returns how many letters to insert, delete, replace or swap with their neighbour to turn a into b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

// UnknownName returns the message for a name that is not one of the known ones, with a suggestion.
func UnknownName(what, name string, known []string) string {
	message := "unknown " + what + " " + Quoted(name)
	if near := DidYouMean(name, known); near != "" {
		return message + "; did you mean " + near + "?"
	}
	return message + "; it is one of " + strings.Join(known, ", ")
}
