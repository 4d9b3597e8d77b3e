package main

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// askForm sends a statement with one external table.
func askForm(t *testing.T, server *embeddedtest.Server, statement, structure, format, data string) (*http.Response, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("rows", "rows")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(file, data)
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	values := url.Values{"database": {server.Database}, "query": {statement}, "rows_structure": {structure}, "rows_format": {format}, "max_threads": {"1"}}
	response, err := http.Post(server.Address+"/?"+values.Encode(), form.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

func TestExternalTable(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	for _, test := range []struct {
		name, statement, structure, format, data string
		status                                   int
		answer                                   string
	}{
		{"read", "SELECT n + 1, s FROM rows", "`n` UInt8, s LowCardinality(String)", "CSV", "1,one\n2,two\n", 200, "2\tone\n3\ttwo\n"},
		{"empty", "SELECT count() FROM rows", "n UInt8", "CSV", "", 200, "0\n"},
		{"native", "SELECT * FROM rows", "n UInt8", "Native", "\x01\x02\x01n\x05UInt8\x07\x08", 200, "7\n8\n"},
		{"no structure", "SELECT 1", "", "CSV", "1\n", 500, ""},
		{"no such column", "SELECT m FROM rows", "n UInt8", "CSV", "1\n", 404, ""},
		{"gone afterwards", "SELECT count() FROM rows", "n UInt8", "CSV", "1\n", 200, "1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, answer := askForm(t, server, test.statement, test.structure, test.format, test.data)
			if response.StatusCode != test.status || test.answer != "" && answer != test.answer {
				t.Errorf("%s %q, want %d %q", response.Status, answer, test.status, test.answer)
			}
		})
	}
	if response, answer := ask(t, server, bytes.NewReader([]byte("SELECT count() FROM rows"))); response.StatusCode != http.StatusNotFound {
		t.Errorf("a later statement sees the table: %s %s", response.Status, answer)
	}
}
