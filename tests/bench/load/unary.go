package main

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// unary makes each call once, so many at a time, and tells throughput and latencies.
func unary(s settings) error {
	calls, err := readCalls(s)
	if err != nil {
		return err
	}
	connections, err := dial(s)
	if err != nil {
		return err
	}
	for _, connection := range connections {
		connection.Connect()
	}
	var (
		failed  failures
		next    atomic.Int64
		workers sync.WaitGroup
		took    = make([][]float64, s.concurrency)
	)
	start := time.Now()
	end := start.Add(time.Duration(s.seconds * float64(time.Second)))
	for worker := range s.concurrency {
		connection := connections[worker%len(connections)]
		workers.Add(1)
		go func() {
			defer workers.Done()
			for time.Now().Before(end) {
				number := next.Add(1) - 1
				if number >= int64(len(calls)) {
					return
				}
				var response []byte
				one := calls[number]
				sent := time.Now()
				if err := connection.Invoke(withToken(context.Background(), one.token), s.method, &one.request, &response); err != nil {
					failed.add(err)
					continue
				}
				took[worker] = append(took[worker], time.Since(sent).Seconds())
			}
		}()
	}
	workers.Wait()
	seconds := time.Since(start).Seconds()
	var all []float64
	for _, each := range took {
		all = append(all, each...)
	}
	sort.Float64s(all)
	return tell(map[string]any{
		"done": len(all), "seconds": seconds, "failures": failed.told(),
		"p50": quantile(all, 0.5), "p99": quantile(all, 0.99), "exhausted": next.Load() >= int64(len(calls)),
	})
}

func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
