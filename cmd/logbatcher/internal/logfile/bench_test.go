package logfile

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// BenchmarkReader reads one line of each format per operation.
func BenchmarkReader(b *testing.B) {
	samples := []struct{ name, line string }{
		{"plain", "worker 7 took job 1829 from the queue and handed it to printer 3"},
		{"rfc3339", "2026-03-01T10:15:00.123456Z INFO http: request finished path=/v1/items status=200 took=1.2ms"},
		{"log4j", "2026-03-01 10:15:00,123 - WARN  [Listener:/192.0.2.7:3888:Manager@493] - Received connection request /192.0.2.7:45307"},
		{"spark", "26/03/01 10:15:00 INFO executor.Executor: Finished task 3.0 in stage 9.0 (TID 398). 2239 bytes result sent to driver"},
		{"gofmt", "2026/03/01 10:15:00 listening on 127.0.0.1:8080, 14 routes"},
		{"syslog", "Mar  1 10:15:00 bastion sshd[24200]: Failed password for invalid user admin from 192.0.2.99 port 50215 ssh2"},
		{"rfc5424", `<34>1 2026-03-01T10:15:00.003Z web1 shop 811 ID47 [origin@32473 ip="192.0.2.1" sw="3"] cart is full`},
		{"apache_error", "[Sun Mar 01 10:15:00 2026] [error] [client 192.0.2.1] File does not exist: /var/www/favicon.ico"},
		{"klog", "I0301 10:15:00.123456   17813 controller.go:116] Setting up informers for namespace default"},
		{"access", `192.0.2.10 - - [01/Mar/2026:10:15:00 +0000] "GET /products/17?page=2 HTTP/1.1" 200 14021 "https://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`},
		{"json_slog", `{"time":"2026-03-01T10:15:00.123456789Z","level":"INFO","msg":"request finished","method":"GET","path":"/v1/items","status":200,"took_ms":1.25}`},
		{"json_pino", `{"level":30,"time":1772360100123,"pid":811,"hostname":"web1","name":"shop","req":{"id":7,"method":"GET","url":"/"},"msg":"request finished"}`},
		{"docker", `{"log":"listening on 8080\n","stream":"stdout","time":"2026-03-01T10:15:00.123456789Z"}`},
	}
	for _, sample := range samples {
		b.Run(sample.name, func(b *testing.B) {
			b.SetBytes(int64(len(sample.line) + 1))
			readRepeated(b, sample.line+"\n")
		})
	}
	b.Run("stack_trace", func(b *testing.B) { // an operation is one of 11 lines
		var s strings.Builder
		s.WriteString("2026-03-01 10:15:00,123 ERROR [main] com.example.Shop - order failed\n")
		s.WriteString("java.lang.IllegalStateException: no stock\n")
		for i := range 9 {
			fmt.Fprintf(&s, "\tat com.example.shop.Order.step%d(Order.java:%d)\n", i, 40+i)
		}
		b.SetBytes(int64(s.Len() / 11))
		readRepeated(b, s.String())
	})
}

func readRepeated(b *testing.B, text string) {
	b.ReportAllocs()
	reader := NewReader(b.Context(), &repeater{text: text, lines: strings.Count(text, "\n"), left: b.N}, Options{
		Now: testClock, Location: time.UTC,
	})
	b.ResetTimer()
	for {
		if _, err := reader.Next(); err == io.EOF {
			break
		}
	}
}

// repeater gives text again and again, until at least left lines are given.
type repeater struct {
	text  string
	lines int
	left  int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := 0
	for r.left > 0 && n+len(r.text) <= len(p) {
		n += copy(p[n:], r.text)
		r.left -= r.lines
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
