package logbatcherv1

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The double -0.0 is a value, also to the generated code that is not protobuf-go's.
func TestNegativeZeroIsSent(t *testing.T) {
	negative, doubles := math.Copysign(0, -1), 0
	for _, file := range []protoreflect.FileDescriptor{File_logbatcher_v1_entry_proto, File_logbatcher_v1_ingest_proto, File_logbatcher_v1_admin_proto} {
		for i := range file.Messages().Len() {
			d := file.Messages().Get(i)
			for j := range d.Fields().Len() {
				field := d.Fields().Get(j)
				if field.Kind() != protoreflect.DoubleKind && field.Kind() != protoreflect.FloatKind {
					continue
				}
				doubles++
				m := messageOf(t, d)
				value := protoreflect.ValueOfFloat64(negative)
				if field.Kind() == protoreflect.FloatKind {
					value = protoreflect.ValueOfFloat32(float32(negative))
				}
				m.ProtoReflect().Set(field, value)
				want, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				got, err := m.(interface{ MarshalVT() ([]byte, error) }).MarshalVT()
				if err != nil || !bytes.Equal(got, want) || m.(interface{ SizeVT() int }).SizeVT() != len(want) {
					t.Errorf("%s: %x, %v, want %x", field.FullName(), got, err, want)
				}
			}
		}
	}
	if doubles == 0 {
		t.Error("no message has a double")
	}
}

func messageOf(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	for _, m := range []proto.Message{&Attribute{}, &Entry{}, &Open{}} {
		if m.ProtoReflect().Descriptor() == d {
			return m
		}
	}
	t.Fatalf("%s has a double: add it here", d.FullName())
	return nil
}
