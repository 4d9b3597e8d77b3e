//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// query executes a statement and returns its rows, as fields of text.
func query(ctx context.Context, address, statement string) ([][]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/", strings.NewReader(statement))
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", statement, body)
	}
	var rows [][]string
	for line := range strings.Lines(string(body)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows, nil
}
