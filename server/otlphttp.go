package server

import (
	"encoding/json"
	"mime"
	"net/http"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// otlpPosts is OTLP/HTTP, in protobuf and in JSON. Responses are in the encoding of their request.
type otlpPosts struct{ ingest *ingest }

// mediaType returns the type of a request's body.
func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// call implements httpProtocol.
func (p otlpPosts) call(r *http.Request) (*call, error) {
	intakes := map[string]*intake{contentProtobuf: p.ingest.otlp, contentJSON: p.ingest.otlpJSON}
	in := intakes[mediaType(r)]
	if in == nil {
		return nil, statusUnknownMediaType(r.Header.Get("Content-Type"), contentProtobuf+" or "+contentJSON)
	}
	o, err := p.ingest.config.headerOpening(r.Header.Values, &pb.Open{})
	return &call{intake: in, opening: o}, err
}

// respond implements httpProtocol.
func (p otlpPosts) respond(w http.ResponseWriter, r *http.Request, a *answer, err error) {
	inProtobuf := mediaType(r) == contentProtobuf
	switch {
	case err != nil:
		writeStatus(w, err, inProtobuf)
	case inProtobuf:
		writeBody(w, http.StatusOK, contentProtobuf, partialSuccessOf(a).encode())
	default:
		writeBody(w, http.StatusOK, contentJSON, partialSuccessOf(a).json())
	}
}

// json returns the ExportLogsServiceResponse in JSON.
func (p partialSuccess) json() []byte {
	var response struct {
		PartialSuccess struct {
			Rejected int64  `json:"rejectedLogRecords,string,omitempty"`
			Message  string `json:"errorMessage,omitempty"`
		} `json:"partialSuccess,omitzero"`
	}
	response.PartialSuccess.Rejected, response.PartialSuccess.Message = p.rejected, p.message
	body, _ := json.Marshal(response) // it always has a form in JSON
	return body
}
