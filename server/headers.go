package server

import (
	"strconv"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// The headers, or metadata, that open a call whose request has no opening.
const (
	headerProducer        = "logbatcher-producer"
	headerSequence        = "logbatcher-sequence"
	headerAcknowledgement = "logbatcher-acknowledgement"
)

// acknowledgements are the names of the levels in headers and in the configuration.
var acknowledgements = map[string]pb.Acknowledgement{
	"committed": pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED,
	"logged":    pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED,
	"received":  pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED,
}

// headerOpening returns the opening of a call from its headers. values returns those of one name. Without any the call is anonymous.
// open has what its entries share.
func (c *Config) headerOpening(values func(name string) []string, open *pb.Open) (*opening, error) {
	var violations []violation
	invalid := func(is bool, field, problem string) {
		if is {
			violations = append(violations, violation{field, problem})
		}
	}
	get := func(name string) string {
		v := values(name)
		invalid(len(v) > 1, name, "it must be sent once")
		if len(v) == 0 {
			return ""
		}
		return v[0]
	}
	producer, number, level := get(headerProducer), get(headerSequence), or(get(headerAcknowledgement), c.Acknowledgement)
	problem := checkProducer(producer)
	invalid(problem != "", headerProducer, problem)
	sequence, err := strconv.ParseUint(number, 10, 63)
	switch {
	case producer != "" && number == "":
		invalid(true, headerSequence, "a call with "+headerProducer+" needs it: 1 for the producer's first request, and one more for each that follows")
	case producer == "" && number != "":
		invalid(true, headerProducer, "a call with "+headerSequence+" needs it: an id of the sender that no other one uses")
	case number != "":
		invalid(err != nil || sequence == 0, headerSequence, "it must be a number from 1 to 2^63-1")
	}
	acknowledgement, ok := acknowledgements[level]
	invalid(!ok, headerAcknowledgement, "it must be committed, logged or received")
	if violations != nil {
		return nil, statusInvalidOpening(violations...)
	}
	o := &opening{producer: producer, sequence: sequence, current: producer != "", level: acknowledgement}
	return o, c.complete(o, open)
}
