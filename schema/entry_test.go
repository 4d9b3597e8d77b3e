package schema

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// Doubles have the text that encoding/json gives them.
func TestDoubleText(t *testing.T) {
	examples := []float64{0, math.Copysign(0, -1), 1, -1e6, 1e20, 1e21, -1e21, 1e-6, 9.9e-7, 1e-7, 1.5e-9, 1e-10, 1e-100, math.MaxFloat64, math.SmallestNonzeroFloat64}
	for range 1000 {
		if x := math.Float64frombits(rand.Uint64()); !math.IsNaN(x) && !math.IsInf(x, 0) {
			examples = append(examples, x)
		}
	}
	for _, x := range examples {
		a := DoubleAttribute("", x)
		if want, _ := json.Marshal(x); string(a.AppendText(nil)) != string(want) {
			t.Errorf("%g is %s, want %s", x, a.AppendText(nil), want)
		}
	}
	for want, x := range map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)} {
		if a := DoubleAttribute("", x); string(a.AppendText(nil)) != want {
			t.Errorf("%g is %s", x, a.AppendText(nil))
		}
	}
}
