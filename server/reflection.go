package server

import (
	_ "go.opentelemetry.io/proto/otlp/logs/v1" // the descriptors of what OTLP's service takes
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// registerReflection registers reflection, with which tools such as grpcurl need no files.
func registerReflection(services reflection.GRPCServer) {
	options := reflection.ServerOptions{Services: services, DescriptorResolver: &descriptors{}}
	grpc_reflection_v1.RegisterServerReflectionServer(services, reflection.NewServerV1(options))
	grpc_reflection_v1alpha.RegisterServerReflectionServer(services, reflection.NewServer(options))
}

// descriptors are those of all linked packages, and the one of OTLP's service: its generated package is not linked, because it needs
// an HTTP gateway.
type descriptors struct{}

// FindFileByPath implements protodesc.Resolver.
func (*descriptors) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if path == otlpFile.Path() {
		return otlpFile, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

// FindDescriptorByName implements protodesc.Resolver.
func (*descriptors) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if name.Parent() == otlpFile.Package() {
		if m := otlpFile.Messages().ByName(name.Name()); m != nil {
			return m, nil
		}
		if s := otlpFile.Services().ByName(name.Name()); s != nil {
			return s, nil
		}
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// otlpFile describes opentelemetry/proto/collector/logs/v1/logs_service.proto.
var otlpFile = func() protoreflect.FileDescriptor {
	const at = ".opentelemetry.proto.collector.logs.v1."
	field := func(name, jsonName string, number int32, kind descriptorpb.FieldDescriptorProto_Type, message string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: &name, JsonName: &jsonName, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if message != "" {
			f.TypeName = &message
		}
		return f
	}
	message := func(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{Name: &name, Field: fields}
	}
	logs := field("resource_logs", "resourceLogs", 1, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".opentelemetry.proto.logs.v1.ResourceLogs")
	logs.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String(otlpProto), Package: proto.String("opentelemetry.proto.collector.logs.v1"), Syntax: proto.String("proto3"),
		Dependency: []string{"opentelemetry/proto/logs/v1/logs.proto"},
		MessageType: []*descriptorpb.DescriptorProto{
			message("ExportLogsServiceRequest", logs),
			message("ExportLogsServiceResponse",
				field("partial_success", "partialSuccess", 1, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, at+"ExportLogsPartialSuccess")),
			message("ExportLogsPartialSuccess",
				field("rejected_log_records", "rejectedLogRecords", 1, descriptorpb.FieldDescriptorProto_TYPE_INT64, ""),
				field("error_message", "errorMessage", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING, "")),
		},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("LogsService"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Export"), InputType: proto.String(at + "ExportLogsServiceRequest"), OutputType: proto.String(at + "ExportLogsServiceResponse"),
		}}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		panic(err) // nothing in it depends on anything
	}
	return file
}()
