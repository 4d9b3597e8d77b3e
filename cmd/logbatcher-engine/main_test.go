package main

import (
	"os"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

func TestOptions(t *testing.T) {
	for name, arguments := range map[string][]string{
		"no library":     {"--path", "p"},
		"no path":        {"--library", "l"},
		"public address": {"--library", "l", "--path", "p", "--listen", "0.0.0.0:1"},
		"all addresses":  {"--library", "l", "--path", "p", "--listen", ":1"},
		"no port":        {"--library", "l", "--path", "p", "--listen", "127.0.0.1"},
		"no connections": {"--library", "l", "--path", "p", "--max-connections", "0"},
		"further words":  {"--library", "l", "--path", "p", "word"},
	} {
		if _, err := readOptions(arguments); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := readOptions([]string{"--library", "l", "--path", "p", "--listen", "[::1]:0"}); err != nil {
		t.Error(err)
	}
}
