package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

const markerDigits = 6

// How many streams may be on their way to be opened; the others wait their turn.
const openingAtOnce = 256

// watch opens a stream a request and reads until stdin ends. It tells when all have their first
// frame (`ready`) and, of each tick, when all have seen it (`tick`, Unix nanoseconds).
//
// Lines on stdin: `drop` cuts all connections at once; `return` opens all streams again, each with the
// cursor of its last frame; `report` tells what was counted.
func watch(s settings) error {
	calls, err := readCalls(s)
	if err != nil {
		return err
	}
	all := &watchers{s: s, ticks: map[string]*tick{}}
	for _, one := range calls {
		all.streams = append(all.streams, &watcher{call: one})
	}
	if err := all.open(); err != nil {
		return err
	}
	commands := map[string]func() error{"drop": all.drop, "return": all.open, "report": all.report}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command := commands[lines.Text()]
		if command == nil {
			return fmt.Errorf("unknown command %q", lines.Text())
		}
		if err := command(); err != nil {
			return err
		}
	}
	return nil
}

// watcher is one stream: its request, where it is, and which ticks it saw.
type watcher struct {
	call   call
	cursor []byte
	seen   map[string]bool
}

// tick is one event on its way to everyone.
type tick struct {
	streams     int
	first, last int64
}

type watchers struct {
	s           settings
	streams     []*watcher
	connections []*grpc.ClientConn
	readers     sync.WaitGroup
	dropping    atomic.Bool
	failed      failures

	frames, received, doubles, waiting atomic.Int64

	mutex sync.Mutex
	ticks map[string]*tick
}

func (all *watchers) open() error {
	connections, err := dial(all.s)
	if err != nil {
		return err
	}
	all.connections = connections
	all.dropping.Store(false)
	all.waiting.Store(int64(len(all.streams)))
	start := time.Now()
	places := make(chan struct{}, openingAtOnce)
	all.readers.Add(len(all.streams))
	go func() {
		for number, one := range all.streams {
			places <- struct{}{}
			go func() {
				defer all.readers.Done()
				all.read(one, connections[number%len(connections)], start, func() { <-places })
			}()
		}
	}()
	return nil
}

func (all *watchers) drop() error {
	all.dropping.Store(true)
	for _, connection := range all.connections {
		_ = connection.Close()
	}
	all.readers.Wait()
	return tell(map[string]any{"event": "dropped"})
}

// read follows one stream to its end; `opened` is called once, when it is open or has failed.
func (all *watchers) read(one *watcher, connection *grpc.ClientConn, start time.Time, opened func()) {
	isFirst := true
	defer func() {
		if isFirst {
			opened()
		}
	}()
	request := one.call.request
	if len(one.cursor) > 0 {
		request = protowire.AppendTag(request, protowire.Number(all.s.afterField), protowire.BytesType)
		request = protowire.AppendBytes(request, one.cursor)
	}
	ctx := withToken(context.Background(), one.call.token)
	opening, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, all.s.method, grpc.WaitForReady(true))
	if err == nil {
		if err = opening.SendMsg(&request); err == nil {
			err = opening.CloseSend()
		}
	}
	for err == nil {
		var frame []byte
		if err = opening.RecvMsg(&frame); err != nil {
			break
		}
		all.take(one, frame, time.Now().UnixNano())
		if isFirst {
			isFirst = false
			opened()
			if all.waiting.Add(-1) == 0 {
				_ = tell(map[string]any{"event": "ready", "seconds": time.Since(start).Seconds()})
			}
		}
	}
	if !all.dropping.Load() {
		all.failed.add(err)
	}
}

// take keeps the cursor and looks for ticks; several events may have come in one frame.
func (all *watchers) take(one *watcher, frame []byte, now int64) {
	all.frames.Add(1)
	all.received.Add(int64(len(frame)))
	eachField(frame, func(field protowire.Number, _ uint64, content []byte) {
		if field == 1 && len(content) > 0 {
			one.cursor = append([]byte(nil), content...)
		}
	})
	marker := []byte(all.s.marker)
	for rest := frame; ; {
		_, behind, found := bytes.Cut(rest, marker)
		if !found || len(behind) < markerDigits {
			return
		}
		all.note(one, string(behind[:markerDigits]), now)
		rest = behind
	}
}

func (all *watchers) note(one *watcher, number string, now int64) {
	if _, err := strconv.Atoi(number); err != nil {
		return
	}
	if one.seen[number] {
		all.doubles.Add(1)
		return
	}
	if one.seen == nil {
		one.seen = map[string]bool{}
	}
	one.seen[number] = true
	all.mutex.Lock()
	defer all.mutex.Unlock()
	noted := all.ticks[number]
	if noted == nil {
		noted = &tick{first: now}
		all.ticks[number] = noted
	}
	noted.last = now
	if noted.streams++; noted.streams == len(all.streams) {
		_ = tell(map[string]any{"event": "tick", "number": number, "first": noted.first, "last": noted.last})
	}
}

func (all *watchers) report() error {
	return tell(map[string]any{
		"event": "report", "frames": all.frames.Load(), "bytes": all.received.Load(),
		"doubles": all.doubles.Load(), "failures": all.failed.told(),
	})
}
