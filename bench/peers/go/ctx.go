// SPDX-License-Identifier: MIT

// Contexts: one made and cancelled under a parent, and one that many goroutines wait under.
package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

func ctxCancel(n int) (int, time.Duration) {
	parent, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	cancelled := 0

	start := time.Now()
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithCancel(parent)
		cancel()
		if ctx.Err() != nil {
			cancelled++
		}
	}
	took := time.Since(start)
	check("cancelled", cancelled, n)
	return n, took
}

func cancelAll(tasks int) (int, time.Duration) {
	var ready, done sync.WaitGroup
	var cancelled int64
	ctx, cancel := context.WithCancel(context.Background())
	c := make(chan int)

	ready.Add(tasks)
	done.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			ready.Done()
			select {
			case <-c:
			case <-ctx.Done():
				atomic.AddInt64(&cancelled, 1)
			}
			done.Done()
		}()
	}
	// That they wait cannot be seen from outside: the last have a moment to get there.
	ready.Wait()
	time.Sleep(20 * time.Millisecond)

	start := time.Now()
	cancel()
	done.Wait()
	took := time.Since(start)
	check("cancelled", int(cancelled), tasks)
	return tasks, took
}
