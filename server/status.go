package server

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server/access"
)

// This file makes all gRPC statuses of the package, so that one test can walk them. Each has an ErrorInfo, whose reason programs
// may compare; UNAVAILABLE always has a RetryInfo as well, and INVALID_ARGUMENT names its fields in a BadRequest.

// errorDomain is the domain of each ErrorInfo.
const errorDomain = "logbatcher"

// retryDelay is what RetryInfo asks for. A client adds its own jitter.
const retryDelay = time.Second

type metadata = map[string]string

func statusOf(code codes.Code, reason, message string, data metadata, details ...protoadapt.MessageV1) error {
	for key, value := range data {
		data[key] = text(value)
	}
	details = append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain, Metadata: data}}, details...)
	st, err := status.New(code, text(message)).WithDetails(details...)
	if err != nil { // a detail can't be encoded; the text is enough
		return status.Error(code, text(message))
	}
	return st.Err()
}

// violation is an invalid field of an opening or a request.
type violation struct{ field, problem string }

// statusInvalid is for invalid fields of an opening or a request.
func statusInvalid(reason string, violations ...violation) error {
	detail := &errdetails.BadRequest{}
	message := "invalid request"
	for i, v := range violations {
		detail.FieldViolations = append(detail.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: text(v.field), Description: text(v.problem),
		})
		if i == 0 {
			message = strings.TrimPrefix(v.field+": "+v.problem, ": ")
		}
	}
	if more := len(violations) - 1; more > 0 {
		message += " (and " + strconv.Itoa(more) + " more)"
	}
	return statusOf(codes.InvalidArgument, reason, message, nil, detail)
}

func statusInvalidOpening(violations ...violation) error {
	return statusInvalid("INVALID_OPENING", violations...)
}

// The statuses without parameters. They serve as causes of contexts, too.
var (
	errNotOpened            = statusInvalid("NOT_OPENED", violation{"open", "the first request of a stream must open it"})
	errOpenedTwice          = statusInvalid("OPENED_TWICE", violation{"open", "only the first request of a stream may open it"})
	errOpeningNotAlone      = statusInvalid("OPENING_NOT_ALONE", violation{"entries", "the opening has no sequence and no entries; send them in the next request"})
	errZeroSequence         = statusInvalid("ZERO_SEQUENCE", violation{"sequence", "it must be 1 for the first request of an epoch and grow by one; only anonymous producers send none"})
	errAnonymousSequence    = statusInvalid("ANONYMOUS_SEQUENCE", violation{"sequence", "the server numbers the requests of an anonymous producer: it must be 0"})
	errSequenceWithoutEpoch = statusInvalid("SEQUENCE_WITHOUT_EPOCH", violation{"open.epoch", "a call with a sequence needs its epoch; a call with a producer, but no epoch, sequence or entries, begins one"})
	errNoLog                = statusOf(codes.FailedPrecondition, "NO_LOG", "this instance keeps no write-ahead log, so nothing is ever LOGGED: ask for COMMITTED or RECEIVED", nil)
	errSuperseded           = statusOf(codes.Aborted, "SUPERSEDED", "the producer has opened again", nil)
	errNoJSONLine           = statusInvalid("NO_JSON_LINES", violation{"", "the body has no JSON lines: each line must be a JSON object, and none of them begins like one"})
	errNotReady             = statusUnavailable("NOT_READY", "the instance does not accept entries yet; /readyz tells why", nil)
	errShutdown             = statusUnavailable("SHUTTING_DOWN", "the instance is shutting down", nil)
	errResponsesUnread      = statusUnavailable("RESPONSES_UNREAD", "the last responses could not be sent, because the client does not read", nil)
	errOlderNotFinished     = statusUnavailable("OLDER_NOT_FINISHED", "what an older stream of the producer sent is not safe yet", nil)
	errRouterClosed         = statusUnavailable("NOT_ACCEPTING", "the instance accepts no requests now", nil)
	errInternal             = statusOf(codes.Internal, "INTERNAL", "internal error", nil) // the server's log has the details
)

// problemNoMessage is the problem of bytes that can't be decoded.
const problemNoMessage = "the request is not valid protobuf"

func statusMalformed(problem string) error {
	return statusInvalid("MALFORMED", violation{"", problem})
}

func statusUnknownField(field, problem string) error {
	return statusInvalid("UNKNOWN_FIELD", violation{field, problem})
}

func statusGap(expected, got uint64) error {
	return statusOf(codes.OutOfRange, "SEQUENCE_GAP",
		"the sequence after "+decimal(expected-1)+" is "+decimal(expected)+", not "+decimal(got),
		metadata{"expected": decimal(expected), "got": decimal(got)})
}

func statusAltered(sequence uint64) error {
	return statusOf(codes.FailedPrecondition, "SEQUENCE_ALTERED",
		"sequence "+decimal(sequence)+" was sent before with other entries",
		metadata{"sequence": decimal(sequence)})
}

// statusForgotten is for a sequence that may have been accepted, or not, by whoever knew the producer then.
func statusForgotten(sequence, accepted uint64) error {
	return statusOf(codes.FailedPrecondition, "SEQUENCE_FORGOTTEN",
		"sequence "+decimal(sequence)+" is too far behind, or was overtaken by a later one: it is not known whether it was stored, and the next one is "+decimal(accepted+1),
		metadata{"sequence": decimal(sequence), "expected": decimal(accepted + 1)})
}

func statusOldEpoch(epoch, newest uint64) error {
	return statusOf(codes.Aborted, "OLD_EPOCH",
		"epoch "+decimal(epoch)+" has been replaced by "+decimal(newest),
		metadata{"epoch": decimal(epoch), "newest": decimal(newest)})
}

func statusTooLarge(bound string, limit, got int) error {
	return statusOf(codes.ResourceExhausted, "TOO_LARGE",
		bound+" is "+strconv.Itoa(limit)+", this request has "+strconv.Itoa(got),
		metadata{"bound": bound, "limit": strconv.Itoa(limit), "got": strconv.Itoa(got)})
}

func statusUnavailable(reason, message string, data metadata) error {
	return statusOf(codes.Unavailable, reason, message, data, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)})
}

// statusAway is for an anonymous call that waits to be committed: it would be repeated after each time-out, and each repeat stored.
func statusAway(why string) error {
	return statusUnavailable("NOT_COMMITTING", "nothing of this request was accepted: "+why, nil)
}

// statusOwned is for an opening of a producer that another instance owns. That one is asked to give it up, and the client comes again.
func statusOwned(owned *schema.OwnedError) error {
	return statusUnavailable("OWNED_ELSEWHERE", owned.Error()+"; it is asked to give it up: open again",
		metadata{"owner": owned.Instance, "address": owned.Address, "log": owned.Log})
}

// statusOwnerUnknown is for an opening of a producer of which it is not known, or could not be recorded, who owns it.
func statusOwnerUnknown(why error) error {
	return statusUnavailable("OWNER_UNKNOWN", why.Error(), nil)
}

// statusTooManyStreams is for a stream or call beyond the bound of the instance or of its tenant.
func statusTooManyStreams(bound string, limit int) error {
	return statusUnavailable("TOO_MANY_STREAMS", "there are as many streams as "+bound+" allows, "+strconv.Itoa(limit),
		metadata{"bound": bound, "limit": strconv.Itoa(limit)})
}

// statusTenantLimit is for a call whose tenant has sent as much as it may for now. It may come again after the wait.
func statusTenantLimit(tenant string, wait time.Duration) error {
	return statusOf(codes.Unavailable, "TENANT_LIMIT", "tenant "+tenant+" has sent as much as it may for now", metadata{"tenant": tenant},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
}

func statusUnauthenticated(refused *access.RefusedError) error {
	return statusOf(codes.Unauthenticated, refused.Reason, refused.Message, nil)
}

func statusNotAllowed(caller string, right access.Right) error {
	return statusOf(codes.PermissionDenied, "NOT_ALLOWED", caller+" has no right to this: it needs "+string(right), metadata{"right": string(right)})
}

// statusUnknownEncoding is for a body that is compressed in another way.
func statusUnknownEncoding(name string) error {
	return statusOf(codes.Unimplemented, "UNKNOWN_ENCODING", "the Content-Encoding must be gzip, zstd or identity, not "+schema.Quoted(name), nil)
}

// statusUnknownMediaType is for a body of another kind.
func statusUnknownMediaType(got, want string) error {
	return statusOf(codes.Unimplemented, "UNKNOWN_MEDIA_TYPE", "the Content-Type must be "+want+", not "+schema.Quoted(got), nil)
}

// statusBodyTimeout is for a body of which no more arrives.
func statusBodyTimeout(silence time.Duration) error {
	return statusOf(codes.DeadlineExceeded, "BODY_TIMEOUT", "nothing of the body arrived for "+silence.String(), nil)
}

func statusTooManyProducers(limit int) error {
	return statusUnavailable("TOO_MANY_PRODUCERS", "the instance has as many producers in use as max_producers allows, "+strconv.Itoa(limit),
		metadata{"bound": "max_producers", "limit": strconv.Itoa(limit)})
}

// drains has what a stream that was drained ends with, and the label of the metric.
var drains = map[pb.DrainReason]struct {
	label string
	err   error
}{
	pb.DrainReason_DRAIN_REASON_AGE: {"age",
		statusUnavailable("DRAINED_AGE", "the stream was drained because of its age: open a new one", nil)},
	pb.DrainReason_DRAIN_REASON_SHUTDOWN: {"shutdown",
		statusUnavailable("DRAINED_SHUTDOWN", "the stream was drained because the instance is shutting down: open a new one", nil)},
	pb.DrainReason_DRAIN_REASON_CREDENTIALS: {"credentials",
		statusUnavailable("DRAINED_CREDENTIALS", "the stream was drained because its credentials are no longer accepted: open a new one with others", nil)},
}

// statusNotFinished is for a stream that ended before what it sent had reached its level.
func statusNotFinished(missing uint64, level pb.Acknowledgement) error {
	return statusUnavailable("NOT_FINISHED",
		decimal(missing)+" requests were accepted and are not "+levelName(level)+" yet; resume from the last watermark to learn of them",
		metadata{"unsettled": decimal(missing)})
}

func statusOpenTimeout(limit time.Duration) error {
	return statusOf(codes.DeadlineExceeded, "NO_OPENING", "the stream sent no opening within "+limit.String(), nil)
}

// statusUnaryDeadline is for a call that could not wait any longer. known is what is known of its request.
func statusUnaryDeadline(known metadata, level pb.Acknowledgement) error {
	return statusOf(codes.DeadlineExceeded, "NOT_COMMITTED_YET",
		"the request was "+known["state"]+"; it was not "+levelName(level)+" in time", known)
}

// statusUnaryShutdown is the same for an instance that could not wait any longer.
func statusUnaryShutdown(known metadata) error {
	return statusUnavailable("SHUTTING_DOWN", "the instance is shutting down; the request was "+known["state"], known)
}

func statusUnknownTable(table string) error {
	return statusOf(codes.NotFound, "UNKNOWN_TABLE", "no route has the table "+strconv.QuoteToASCII(table), nil)
}

// statusInvalidLetters is for invalid fields of a call about dead letters.
func statusInvalidLetters(violations ...violation) error {
	return statusInvalid("INVALID_LETTERS", violations...)
}

// statusOfContext is for a call whose context ended: the client is gone, or its deadline has passed.
func statusOfContext(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return statusOf(codes.DeadlineExceeded, "DEADLINE", "the deadline of the call has passed", nil)
	}
	return statusOf(codes.Canceled, "CANCELED", "the call was canceled", nil)
}

// statusOfAdmin is for an error of an Admin.
func statusOfAdmin(err error, table string) error {
	switch {
	case errors.Is(err, schema.ErrUnknownTable):
		return statusUnknownTable(table)
	case errors.Is(err, schema.ErrUnknownLetter):
		return statusOf(codes.NotFound, "UNKNOWN_LETTER", err.Error(), nil)
	case errors.Is(err, schema.ErrBadToken):
		return statusInvalidLetters(violation{"page_token", "it is not one that ListDeadLetters has returned"})
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return statusOfContext(err)
	}
	return statusUnavailable("ADMIN", err.Error(), nil)
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
