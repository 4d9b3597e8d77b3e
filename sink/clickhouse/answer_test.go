package clickhouse

import (
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/sink/clickhouse/fakeserver"
)

// TestAnswerIsBounded has a server answer a question with more than is held.
func TestAnswerIsBounded(t *testing.T) {
	server := fakeserver.New(t, false)
	server.Query("SELECT much", strings.Repeat("x", maxAnswerBytes+1))
	config := DefaultConfig()
	config.Addresses = []string{server.Address()}
	sink, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if rows, err := sink.Conn().Query(t.Context(), "SELECT much"); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes") {
		t.Errorf("got %d rows, %v", len(rows), err)
	}
}
