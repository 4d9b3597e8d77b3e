package logline

import "testing"

func TestNumericSeverity(t *testing.T) {
	for _, test := range []struct {
		key  string
		want map[int64]uint32
	}{
		{"level", map[int64]uint32{-1: 0, 0: 21, 2: 18, 3: 17, 4: 13, 6: 9, 7: 5, 8: 0, 9: 0, 10: 1, 20: 5, 30: 9, 35: 9, 40: 13, 50: 17, 60: 21, 70: 0, 200: 0}},
		{"levelno", map[int64]uint32{0: 0, 10: 5, 20: 9, 30: 13, 35: 13, 40: 17, 50: 18, 60: 0}},
		{"severitynumber", map[int64]uint32{0: 0, 1: 1, 9: 9, 17: 17, 24: 24, 25: 0}},
	} {
		for n, want := range test.want {
			if got := NumericSeverity(test.key, n); got != want {
				t.Errorf("%s %d is %d, want %d", test.key, n, got, want)
			}
		}
	}
}
