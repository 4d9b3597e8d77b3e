package client_test

import (
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// keeper is an IngestService that reports everything as committed, and refuses entries without a body.
type keeper struct {
	logbatcherv1.UnimplementedIngestServiceServer
}

// IngestStream acknowledges every request.
func (keeper) IngestStream(s grpc.BidiStreamingServer[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]) error {
	for {
		request, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		response := &logbatcherv1.IngestStreamResponse{CommittedSequence: request.GetSequence()}
		for i, e := range request.GetEntries() {
			if e.GetBody() == "" {
				response.Refusals = append(response.Refusals, &logbatcherv1.Refusal{Sequence: request.GetSequence(), Index: uint32(i), Message: "no body"})
			}
		}
		if request.GetOpen() != nil {
			response.Welcome = &logbatcherv1.Welcome{Producer: request.GetOpen().GetProducer(), Epoch: 1}
		}
		if err := s.Send(response); err != nil {
			return err
		}
	}
}

// startServer serves a keeper on a port of the kernel's choice.
func startServer() (address string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	logbatcherv1.RegisterIngestServiceServer(server, keeper{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return listener.Addr().String(), func() {
		server.Stop()
		<-ended
	}
}
