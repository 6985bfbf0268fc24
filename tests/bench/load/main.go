// Command load calls a gRPC server with requests made beforehand, and tells as JSON how it went.
//
// It knows no contract: requests and responses are bytes, so that it costs little beside the server
// it measures on the same machine, and never has to be generated again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// settings are the flags of all commands; each uses what it needs.
type settings struct {
	address      string
	method       string
	calls        string
	tokens       string
	connections  int
	concurrency  int
	window       int
	seconds      float64
	refusedField int
	afterField   int
	marker       string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	commands := map[string]func(settings) error{"unary": unary, "streams": streams, "watch": watch}
	if len(arguments) == 0 || commands[arguments[0]] == nil {
		return errors.New("usage: load unary|streams|watch -address … -method … -calls … -tokens …")
	}
	var s settings
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	flags.StringVar(&s.address, "address", "", "server, host:port")
	flags.StringVar(&s.method, "method", "", "full method, /package.Service/Method")
	flags.StringVar(&s.calls, "calls", "", "file of requests: see calls.go")
	flags.StringVar(&s.tokens, "tokens", "", "file of bearer tokens, one a line")
	flags.IntVar(&s.connections, "connections", 1, "connections")
	flags.IntVar(&s.concurrency, "concurrency", 1, "calls, or streams of `streams`, at once")
	flags.IntVar(&s.window, "window", 256, "messages of one stream not acknowledged yet")
	flags.Float64Var(&s.seconds, "seconds", 5, "stop after so long, or when all requests were sent")
	flags.IntVar(&s.refusedField, "refused-field", 0, "field of a stream's response that tells of a refusal")
	flags.IntVar(&s.afterField, "after-field", 0, "field of a watch request that takes the cursor")
	flags.StringVar(&s.marker, "marker", "tick-", "what is followed by six digits in events that are timed")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	return commands[arguments[0]](s)
}

// bytesCodec passes messages through as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (bytesCodec) Name() string { return "proto" }

// dial opens connections that share nothing, and waits until each is up.
func dial(s settings) ([]*grpc.ClientConn, error) {
	connections := make([]*grpc.ClientConn, s.connections)
	for i := range connections {
		connection, err := grpc.NewClient("passthrough:///"+s.address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.MaxCallRecvMsgSize(64<<20)),
			grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10), grpc.WithSharedWriteBuffer(true))
		if err != nil {
			return nil, err
		}
		connections[i] = connection
	}
	return connections, nil
}

func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// failures counts what went wrong by code, and keeps the first message of each.
type failures struct {
	mutex sync.Mutex
	count map[string]int
	first map[string]string
}

func (f *failures) add(err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.count == nil {
		f.count, f.first = map[string]int{}, map[string]string{}
	}
	code := status.Code(err).String()
	if f.count[code]++; f.count[code] == 1 {
		f.first[code] = status.Convert(err).Message()
	}
}

func (f *failures) told() map[string]any {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	told := map[string]any{}
	for code, count := range f.count {
		told[code] = map[string]any{"count": count, "first": f.first[code]}
	}
	return told
}

var printing sync.Mutex

// tell writes one line of JSON.
func tell(value map[string]any) error {
	printing.Lock()
	defer printing.Unlock()
	return json.NewEncoder(os.Stdout).Encode(value)
}
