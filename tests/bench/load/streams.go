package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// streams sends the requests over some bidirectional streams, with a window of what is not
// acknowledged yet, and counts what was acknowledged and not refused.
//
// Every request begins with its sequence: this program puts it there, as field 1, counting from 1 on
// each stream. Field 1 of a response is the last sequence that it acknowledges.
func streams(s settings) error {
	calls, err := readCalls(s)
	if err != nil {
		return err
	}
	connections, err := dial(s)
	if err != nil {
		return err
	}
	var (
		failed                failures
		acknowledged, refused atomic.Int64
		workers               sync.WaitGroup
	)
	start := time.Now()
	end := start.Add(time.Duration(s.seconds * float64(time.Second)))
	share := (len(calls) + s.concurrency - 1) / s.concurrency
	for number := range s.concurrency {
		mine := calls[min(number*share, len(calls)):min((number+1)*share, len(calls))]
		one := stream{s: s, end: end, acknowledged: &acknowledged, refused: &refused}
		workers.Add(1)
		go func() {
			defer workers.Done()
			if err := one.run(connections[number%len(connections)], mine); err != nil {
				failed.add(err)
			}
		}()
	}
	workers.Wait()
	return tell(map[string]any{
		"done": acknowledged.Load(), "refused": refused.Load(), "seconds": time.Since(start).Seconds(),
		"failures": failed.told(),
	})
}

type stream struct {
	s                     settings
	end                   time.Time
	acknowledged, refused *atomic.Int64
}

func (one stream) run(connection *grpc.ClientConn, calls []call) error {
	if len(calls) == 0 {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), one.end.Add(20*time.Second))
	defer cancel()
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	opened, err := connection.NewStream(withToken(ctx, calls[0].token), both, one.s.method)
	if err != nil {
		return err
	}
	places := make(chan struct{}, one.s.window)
	go func() {
		for number, each := range calls {
			if time.Now().After(one.end) {
				break
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			request := protowire.AppendTag(make([]byte, 0, len(each.request)+11), 1, protowire.VarintType)
			request = protowire.AppendVarint(request, uint64(number+1))
			request = append(request, each.request...)
			if opened.SendMsg(&request) != nil {
				return
			}
		}
		_ = opened.CloseSend()
	}()
	return one.read(opened, places)
}

func (one stream) read(opened grpc.ClientStream, places <-chan struct{}) error {
	var last uint64
	for {
		var response []byte
		if err := opened.RecvMsg(&response); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		refused := int64(0)
		until := last
		eachField(response, func(field protowire.Number, varint uint64, _ []byte) {
			switch int(field) {
			case 1:
				until = max(until, varint)
			case one.s.refusedField:
				refused++
			}
		})
		for sequence := last; sequence < until; sequence++ {
			<-places
		}
		one.acknowledged.Add(int64(until-last) - refused)
		one.refused.Add(refused)
		last = until
	}
}

// eachField visits the fields of a message: varints by value, what has a length by its bytes.
func eachField(message []byte, visit func(field protowire.Number, varint uint64, content []byte)) {
	for len(message) > 0 {
		field, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return
		}
		message = message[size:]
		var varint uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			varint, size = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			content, size = protowire.ConsumeBytes(message)
		default:
			size = protowire.ConsumeFieldValue(field, kind, message)
		}
		if size < 0 {
			return
		}
		visit(field, varint, content)
		message = message[size:]
	}
}
