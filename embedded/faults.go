package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Faults are misbehaviours of a ClickHouse that was configured with Faults. They
// concern inserts that bring data, and nothing else.
type Faults struct {
	// Refuse answers that many inserts with an exception and executes none.
	Refuse int
	// CorruptAnswer executes that many inserts and answers with an exception.
	CorruptAnswer int
	// DropAnswer executes that many inserts and closes the connection instead of
	// answering.
	DropAnswer int
	// DelayAnswer executes inserts and holds each answer that long, or until the
	// next SetFaults.
	DelayAnswer time.Duration
	// Code is the exception of Refuse and CorruptAnswer; 0 is 252, too many parts.
	Code int
	// Match restricts the faults to inserts whose statement contains it, for
	// instance a table's name.
	Match string
}

// FaultCounts says how often faults have struck since the last SetFaults.
type FaultCounts struct {
	Refused, Corrupted, Dropped int
	// Holding is the number of answers that are being held now: their inserts
	// have been executed. Held counts those and the ones let go.
	Holding, Held int
}

// SetFaults replaces the faults; the zero value ends them.
func (c *ClickHouse) SetFaults(ctx context.Context, faults Faults) error {
	values := url.Values{}
	for name, count := range map[string]int{
		"refuse": faults.Refuse, "corrupt_answer": faults.CorruptAnswer, "drop_answer": faults.DropAnswer, "code": faults.Code,
	} {
		if count != 0 {
			values.Set(name, strconv.Itoa(count))
		}
	}
	if faults.DelayAnswer > 0 {
		values.Set("delay_answer", faults.DelayAnswer.String())
	}
	if faults.Match != "" {
		values.Set("match", faults.Match)
	}
	_, err := c.askFaults(ctx, http.MethodPost, values)
	return err
}

// FaultCounts asks how often faults have struck.
func (c *ClickHouse) FaultCounts(ctx context.Context) (FaultCounts, error) {
	return c.askFaults(ctx, http.MethodGet, nil)
}

func (c *ClickHouse) askFaults(ctx context.Context, method string, values url.Values) (counts FaultCounts, err error) {
	request, err := http.NewRequestWithContext(ctx, method, c.Address()+"/faults?"+values.Encode(), nil)
	if err != nil {
		return counts, fmt.Errorf("ask faults: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return counts, fmt.Errorf("ask faults: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return counts, fmt.Errorf("ask faults: %s: %s", response.Status, text)
	}
	if err := json.NewDecoder(response.Body).Decode(&counts); err != nil {
		return counts, fmt.Errorf("read fault counts: %w", err)
	}
	return counts, nil
}
