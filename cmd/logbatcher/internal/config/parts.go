package config

import (
	"fmt"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/deadletter"
)

// Queue returns the configuration of the dead-letter queue.
func (d *DeadLetters) Queue() deadletter.Config {
	queue := deadletter.DefaultConfig()
	queue.Stream, queue.MaxBytes, queue.WhenFull = d.Stream, int64(d.MaxBytes), deadletter.Policy(d.WhenFull)
	return queue
}

// Classes returns the table of error codes with the configuration's own over it.
func (h *ClickHouse) Classes() (*sink.Classes, error) {
	var overrides []sink.Rule
	for _, o := range h.ErrorClasses {
		class, err := sink.ParseClass(o.Class)
		if err != nil {
			return nil, fmt.Errorf("clickhouse.error_classes: %w", err)
		}
		overrides = append(overrides, sink.Rule{Code: o.Code, Class: class, Reason: o.Reason})
	}
	return sink.NewClasses(overrides)
}
