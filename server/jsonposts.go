package server

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// jsonPosts is the protocol of JSON lines. The query says what they are, and what they all share.
type jsonPosts struct {
	config *Config
	// logs reads the objects of loggers, entries the protocol's own Entry.
	logs, entries *intake
}

func (in *ingest) newJSONPosts() *jsonPosts {
	c := in.config
	return &jsonPosts{
		config:  c,
		logs:    newIntake(protocolJSONLines, c, in.intake.budget, in.metrics, newJSONDecoder(c, false)),
		entries: newIntake(protocolEntryLines, c, in.intake.budget, in.metrics, newJSONDecoder(c, true)),
	}
}

// The parameters of the query.
const (
	queryFormat    = "format"
	queryService   = "service"
	queryColo      = "colo"
	queryAttribute = "attribute"
)

// contentTypes are those that JSON lines may have. curl --data-binary claims that it sends a form.
var contentTypes = []string{
	"", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines", "application/json",
	"text/plain", "application/octet-stream", "application/x-www-form-urlencoded",
}

// call implements httpProtocol.
func (p *jsonPosts) call(r *http.Request) (*call, error) {
	named := r.Header.Get("Content-Type")
	contentType, _, err := mime.ParseMediaType(named)
	if named != "" && err != nil || !slices.Contains(contentTypes, contentType) {
		return nil, statusUnknownMediaType(named, "application/x-ndjson, application/json or text/plain")
	}
	intake, open, err := p.query(r)
	if err != nil {
		return nil, err
	}
	o, err := p.config.headerOpening(r.Header.Values, open)
	return &call{intake: intake, opening: o}, err
}

// query reads the query.
func (p *jsonPosts) query(r *http.Request) (*intake, *pb.Open, error) {
	in, open := p.logs, &pb.Open{}
	var violations []violation
	invalid := func(field, problem string) {
		if problem != "" {
			violations = append(violations, violation{field, problem})
		}
	}
	resource := func(key, value string) {
		open.ResourceAttributes = append(open.ResourceAttributes, &pb.Attribute{Key: key, StringValue: value})
	}
	query := r.URL.Query()
	for name, values := range query {
		if len(values) > 1 && name != queryAttribute {
			invalid(name, "it must be there once")
		}
		switch value := values[0]; name {
		case queryFormat:
			switch value {
			case "entry":
				in = p.entries
			case "log":
			default:
				invalid(name, "it must be log (any JSON object of a logger, the default) or entry (the fields of Entry)")
			}
		case queryService:
			resource("service.name", value)
		case queryColo:
			open.Colo = value
			invalid(name, checkColo(value))
		case queryAttribute:
			for _, pair := range values {
				key, value, ok := strings.Cut(pair, "=")
				if !ok || key == "" {
					invalid(name, "it must be KEY=VALUE")
				}
				resource(key, value)
			}
		default:
			invalid(name, "there is no such parameter; there are format, service, colo and attribute")
		}
	}
	if violations != nil {
		slices.SortFunc(violations, func(a, b violation) int { return strings.Compare(a.field, b.field) })
		return nil, nil, statusInvalidOpening(violations...)
	}
	return in, open, nil
}

// ingestAnswer is the response to JSON lines.
type ingestAnswer struct {
	// Accepted is how many entries nobody refused, Refused which ones were, by the server or by a route.
	Accepted int           `json:"accepted"`
	Refused  []refusedLine `json:"refused,omitempty"`
	// DeadLettered are the rows that went to the dead-letter queue.
	DeadLettered []deadLetteredRows `json:"deadLettered,omitempty"`
	// Unlisted is how many refusals and dead letters the lists lack.
	Unlisted int `json:"unlisted,omitempty"`
	// Repeat is set if the request had been accepted before.
	Repeat            bool   `json:"repeat,omitempty"`
	Producer          string `json:"producer,omitempty"`
	Sequence          uint64 `json:"sequence,omitempty"`
	LoggedSequence    uint64 `json:"loggedSequence,omitempty"`
	CommittedSequence uint64 `json:"committedSequence,omitempty"`
	Acknowledgement   string `json:"acknowledgement"`
}

// refusedLine is a refused entry, or a route's refused copy of it.
type refusedLine struct {
	Line    int    `json:"line"`
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	Route   string `json:"route,omitempty"`
}

// deadLetteredRows are rows of the request in the dead-letter queue.
type deadLetteredRows struct {
	Rows       uint64 `json:"rows"`
	Route      string `json:"route,omitempty"`
	Table      string `json:"table,omitempty"`
	DeadLetter string `json:"deadLetter,omitempty"`
	Code       int32  `json:"code,omitempty"`
	Message    string `json:"message,omitempty"`
}

// respond implements httpProtocol.
func (p *jsonPosts) respond(w http.ResponseWriter, r *http.Request, a *answer, err error) {
	if err != nil {
		writeStatus(w, err, false)
		return
	}
	response := ingestAnswer{Repeat: a.repeat, Acknowledgement: levelName(a.level)}
	if r.Header.Get(headerProducer) != "" {
		response.Producer, response.Sequence = a.producer, a.sequence
		response.LoggedSequence, response.CommittedSequence = a.logged, a.committed
	}
	refused := map[uint32]struct{}{}
	for i, f := range a.refusals {
		refused[f.Index] = struct{}{}
		if i < maxResponseOutcomes {
			response.Refused = append(response.Refused, refusedLine{
				Line: int(f.Index) + 1, Field: f.Field, Reason: schema.Reason(f.Reason).String(), Message: f.Message, Route: f.Route,
			})
		}
	}
	for _, l := range a.letters[:min(len(a.letters), maxResponseOutcomes)] {
		response.DeadLettered = append(response.DeadLettered, deadLetteredRows{l.Rows, l.Route, l.Table, l.DeadLetter, l.Code, l.Message})
	}
	response.Accepted = a.entries - len(refused)
	response.Unlisted = a.len() - len(response.Refused) - len(response.DeadLettered)
	writeJSON(w, http.StatusOK, response)
}

// levelName returns a level's name in headers.
func levelName(level pb.Acknowledgement) string {
	for name, l := range acknowledgements {
		if l == level {
			return name
		}
	}
	return ""
}

// writeJSON writes a response, with a line feed for those who read it in a terminal.
func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // impossible
		code, body = http.StatusInternalServerError, []byte("{}")
	}
	writeBody(w, code, contentJSON, append(body, '\n'))
}
