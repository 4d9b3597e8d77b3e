package main

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// A request holds the parameters of one HTTP request, under the names that
// they have in ClickHouse's HTTP interface.
type request struct {
	query           string // from the URL; the body follows it
	database        string
	queryID         string
	format          string // of the output, where the statement names none
	protocolVersion uint64
	compress        bool // answer in compressed frames
	decompress      bool // the body is compressed frames
	network         string
	settings        []setting
	parameters      map[string]string
}

// notSettings are the parameters that are no settings and mean nothing here:
// every user may do everything, and each statement is a session of its own.
var notSettings = []string{
	"user", "password", "quota_key", "role", "session_id", "session_timeout", "session_check", "close_session",
	"buffer_size", "wait_end_of_query", "stacktrace", queryIDSetting,
}

// readRequest reads the parameters of a request from its URL and headers.
func readRequest(r *http.Request) request {
	parsed := request{
		database:   r.Header.Get("X-ClickHouse-Database"),
		format:     r.Header.Get("X-ClickHouse-Format"),
		parameters: map[string]string{},
	}
	values := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name][len(values[name])-1]
		parsed.set(name, value)
	}
	if parsed.format == "" {
		parsed.format = "TabSeparated"
	}
	if parsed.queryID == "" {
		parsed.queryID = uuid.NewString()
	}
	parsed.settings = append(parsed.settings, setting{queryIDSetting, parsed.queryID})
	if r.Method == http.MethodGet {
		parsed.settings = append(parsed.settings, setting{"readonly", "2"}) // as a server does; the last one that is accepted
	}
	return parsed
}

func (p *request) set(name, value string) {
	switch name {
	case "query":
		p.query = value
	case "database":
		p.database = value
	case "query_id":
		p.queryID = value
	case "default_format":
		p.format = value
	case "client_protocol_version":
		p.protocolVersion, _ = strconv.ParseUint(value, 10, 64)
	case "compress":
		p.compress = isTrue(value)
	case "decompress":
		p.decompress = isTrue(value)
	default:
		if parameter, ok := strings.CutPrefix(name, "param_"); ok {
			p.parameters[parameter] = value
			return
		}
		if slices.Contains(notSettings, name) {
			return
		}
		if name == "network_compression_method" {
			p.network = value
		}
		p.settings = append(p.settings, setting{name, value})
	}
}

func isTrue(value string) bool {
	return value == "1" || strings.EqualFold(value, "true")
}
