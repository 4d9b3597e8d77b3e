package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// Field numbers of Entry and Attribute.
const (
	fieldTime         = 1
	fieldSeverity     = 2
	fieldSeverityText = 3
	fieldBody         = 4
	fieldTraceID      = 6
	fieldSpanID       = 7
	fieldAttributes   = 8
	fieldTraceFlags   = 9

	attributeKey    = 1
	attributeType   = 2
	attributeString = 3
	attributeInt    = 4
	attributeDouble = 5
	attributeBool   = 6
	attributeBytes  = 7
)

// HandlerOptions are those of a Handler. The zero value is valid.
type HandlerOptions struct {
	// Level is the least level that is sent. Nil: slog.LevelInfo.
	Level slog.Leveler
	// AddSource adds code.function.name, code.file.path and code.line.number, as OpenTelemetry names them.
	AddSource bool
	// MaxBlock is how long a call may wait for room in the producer. Zero: not at all. Once a call has waited in vain, none waits until there
	// is room again, so an outage costs the program this long once. What has no room is dropped and counted.
	MaxBlock time.Duration
	// Trace returns the W3C trace and span ids, in hexadecimal digits, and the flags of a context. Nil: entries have none.
	Trace func(context.Context) (traceID, spanID string, flags byte)
}

// Handler is a slog.Handler that gives records to a Producer. It maps them as OpenTelemetry does:
//
//   - the message is the body, the time the time; a record without a time gets that of its receipt;
//   - severity_number is the level + 9, so that DEBUG, INFO, WARN and ERROR are 5, 9, 13 and 17, within 1 and 24; severity_text is the level's
//     name;
//   - strings, integers, floats, booleans and []byte keep their types. An unsigned integer above the largest int64 is its decimal digits;
//   - a group's attributes have its name and a dot before their key: request.method. So each is a key of a Map column;
//   - a duration is its nanoseconds, a time its RFC 3339 text, an error its message. Any other value is its JSON, as slog's JSON handler
//     has it, with type JSON, or a string if that is a JSON string.
//
// Records are encoded where they are logged and hold on to nothing.
type Handler struct {
	producer *Producer
	options  HandlerOptions
	shared   *handlerState
	prefix   string // of keys: the open groups, each with a dot
	encoded  []byte // attributes of WithAttrs
}

var _ slog.Handler = (*Handler)(nil)

// handlerState is what a handler shares with those that were made of it.
type handlerState struct {
	full    atomic.Bool // a call has waited in vain
	dropped atomic.Uint64
}

// NewHandler returns a Handler for a producer, which stays the caller's. Nil options are the zero ones. Do not log to it from the producer's own
// functions or log.
func NewHandler(producer *Producer, options *HandlerOptions) *Handler {
	h := &Handler{producer: producer, shared: &handlerState{}}
	if options != nil {
		h.options = *options
	}
	return h
}

// Dropped returns how many records had no room, of this handler and those made of it.
func (h *Handler) Dropped() uint64 { return h.shared.dropped.Load() }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	least := slog.LevelInfo
	if h.options.Level != nil {
		least = h.options.Level.Level()
	}
	return level >= least
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	with := *h
	e := encoder{buffer: slices.Clone(h.encoded), prefix: []byte(h.prefix)}
	for _, a := range attrs {
		e.attr(a)
	}
	with.encoded = slices.Clip(e.buffer)
	return &with
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix += name + "."
	return &with
}

var encoders = sync.Pool{New: func() any { return &encoder{buffer: make([]byte, 0, 1024)} }}

// maxPooled is the size above which a buffer is not kept.
const maxPooled = 64 << 10

// Handle implements slog.Handler. Its error is why the record was dropped.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	e := encoders.Get().(*encoder)
	e.buffer, e.prefix = e.buffer[:0], append(e.prefix[:0], h.prefix...)
	h.encode(ctx, e, &r)
	err := h.give(ctx, e.buffer)
	if cap(e.buffer) <= maxPooled {
		encoders.Put(e)
	}
	if err != nil {
		h.shared.dropped.Add(1)
	}
	return err
}

// give passes an encoded entry to the producer, and waits for room as the options say.
func (h *Handler) give(ctx context.Context, entry []byte) error {
	err := h.producer.giveEncoded(ctx, false, entry)
	switch {
	case err == nil:
		if h.shared.full.Load() {
			h.shared.full.Store(false)
		}
		return nil
	case !errors.Is(err, ErrFull) || h.options.MaxBlock <= 0 || h.shared.full.Load():
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.options.MaxBlock, ErrFull)
	defer cancel()
	if err = h.producer.giveEncoded(ctx, true, entry); errors.Is(err, ErrFull) {
		h.shared.full.Store(true)
	}
	return err
}

// severity returns OpenTelemetry's number for a level.
func severity(level slog.Level) uint64 { return uint64(min(max(level, -8), 15) + 9) }

func (h *Handler) encode(ctx context.Context, e *encoder, r *slog.Record) {
	if nanoseconds := r.Time.UnixNano(); !r.Time.IsZero() && nanoseconds > 0 {
		e.buffer = protowire.AppendFixed64(protowire.AppendTag(e.buffer, fieldTime, protowire.Fixed64Type), uint64(nanoseconds))
	}
	e.buffer = protowire.AppendVarint(protowire.AppendTag(e.buffer, fieldSeverity, protowire.VarintType), severity(r.Level))
	e.text(fieldSeverityText, r.Level.String())
	e.text(fieldBody, r.Message)
	if h.options.Trace != nil && ctx != nil {
		traceID, spanID, flags := h.options.Trace(ctx)
		e.text(fieldTraceID, traceID)
		e.text(fieldSpanID, spanID)
		if flags != 0 {
			e.buffer = protowire.AppendVarint(protowire.AppendTag(e.buffer, fieldTraceFlags, protowire.VarintType), uint64(flags))
		}
	}
	e.buffer = append(e.buffer, h.encoded...)
	r.Attrs(e.attr)
	if h.options.AddSource {
		if source := r.Source(); source != nil {
			e.prefix = e.prefix[:0]
			e.string("code.function.name", source.Function, 0)
			e.string("code.file.path", source.File, 0)
			e.int("code.line.number", int64(source.Line))
		}
	}
}

// encoder appends encoded attributes to a buffer.
type encoder struct {
	buffer []byte
	prefix []byte
}

// text appends a string field of the entry, unless it is empty.
func (e *encoder) text(field protowire.Number, text string) {
	if text != "" {
		e.buffer = protowire.AppendString(protowire.AppendTag(e.buffer, field, protowire.BytesType), text)
	}
}

// begin appends the beginning of an attribute whose value takes that many bytes, with its type if that is not 0.
func (e *encoder) begin(key string, kind logbatcherv1.AttributeType, bytes int) {
	size := 1 + protowire.SizeBytes(len(e.prefix)+len(key)) + bytes
	if kind != 0 {
		size += 2
	}
	e.buffer = protowire.AppendVarint(protowire.AppendTag(e.buffer, fieldAttributes, protowire.BytesType), uint64(size))
	e.buffer = protowire.AppendTag(e.buffer, attributeKey, protowire.BytesType)
	e.buffer = protowire.AppendVarint(e.buffer, uint64(len(e.prefix)+len(key)))
	e.buffer = append(append(e.buffer, e.prefix...), key...)
	if kind != 0 {
		e.buffer = protowire.AppendVarint(protowire.AppendTag(e.buffer, attributeType, protowire.VarintType), uint64(kind))
	}
}

// string appends a string attribute. Its type need not be set: it is the default.
func (e *encoder) string(key, value string, kind logbatcherv1.AttributeType) {
	e.begin(key, kind, 1+protowire.SizeBytes(len(value)))
	e.buffer = protowire.AppendString(protowire.AppendTag(e.buffer, attributeString, protowire.BytesType), value)
}

func (e *encoder) int(key string, value int64) {
	e.begin(key, logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, 1+protowire.SizeVarint(uint64(value)))
	e.buffer = protowire.AppendVarint(protowire.AppendTag(e.buffer, attributeInt, protowire.VarintType), uint64(value))
}

// attr appends an attribute, or those of a group. It returns true, as slog.Record.Attrs wants.
func (e *encoder) attr(a slog.Attr) bool {
	value := a.Value.Resolve()
	if a.Key == "" && value.Kind() != slog.KindGroup {
		if !a.Equal(slog.Attr{}) {
			e.value("!EMPTYKEY", value) // an empty key is refused by servers
		}
		return true
	}
	e.value(a.Key, value)
	return true
}

func (e *encoder) value(key string, value slog.Value) {
	switch value.Kind() {
	case slog.KindGroup:
		open := len(e.prefix)
		if key != "" {
			e.prefix = append(append(e.prefix, key...), '.')
		}
		for _, a := range value.Group() {
			e.attr(a)
		}
		e.prefix = e.prefix[:open]
	case slog.KindString:
		e.string(key, value.String(), 0)
	case slog.KindInt64:
		e.int(key, value.Int64())
	case slog.KindUint64:
		if n := value.Uint64(); n > math.MaxInt64 {
			e.string(key, strconv.FormatUint(n, 10), 0)
		} else {
			e.int(key, int64(n))
		}
	case slog.KindFloat64:
		e.begin(key, logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE, 9)
		e.buffer = protowire.AppendTag(e.buffer, attributeDouble, protowire.Fixed64Type)
		e.buffer = protowire.AppendFixed64(e.buffer, math.Float64bits(value.Float64()))
	case slog.KindBool:
		e.begin(key, logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL, 2)
		e.buffer = protowire.AppendTag(e.buffer, attributeBool, protowire.VarintType)
		e.buffer = protowire.AppendVarint(e.buffer, protowire.EncodeBool(value.Bool()))
	case slog.KindDuration:
		e.int(key, value.Duration().Nanoseconds())
	case slog.KindTime:
		var text [64]byte
		formatted := value.Time().AppendFormat(text[:0], time.RFC3339Nano)
		e.begin(key, 0, 1+protowire.SizeBytes(len(formatted)))
		e.buffer = protowire.AppendBytes(protowire.AppendTag(e.buffer, attributeString, protowire.BytesType), formatted)
	default:
		e.any(key, value.Any())
	}
}

// any appends a value of any type.
func (e *encoder) any(key string, value any) {
	if data, ok := value.([]byte); ok {
		e.begin(key, logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BYTES, 1+protowire.SizeBytes(len(data)))
		e.buffer = protowire.AppendBytes(protowire.AppendTag(e.buffer, attributeBytes, protowire.BytesType), data)
		return
	}
	text, kind := textOf(value)
	e.string(key, text, kind)
}

// textOf returns an error's message, or a value's JSON. A value that panics does not end the program.
func textOf(value any) (text string, kind logbatcherv1.AttributeType) {
	defer func() {
		if r := recover(); r != nil {
			if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer && v.IsNil() {
				text, kind = "<nil>", 0
				return
			}
			text, kind = fmt.Sprintf("!PANIC: %v", r), 0
		}
	}()
	_, marshals := value.(json.Marshaler)
	if err, ok := value.(error); ok && !marshals {
		return err.Error(), 0
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "!ERROR:" + err.Error(), 0
	}
	encoded := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	if encoded[0] == '"' && json.Unmarshal(encoded, &text) == nil {
		return text, 0
	}
	return string(encoded), logbatcherv1.AttributeType_ATTRIBUTE_TYPE_JSON
}
