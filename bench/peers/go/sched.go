// SPDX-License-Identifier: MIT

// What the scheduler alone does: goroutines that yield, that start and that end.
package main

import (
	"runtime"
	"sync"
	"time"
)

func yield(n int) (int, time.Duration) {
	const tasks = 3
	var wg sync.WaitGroup

	start := time.Now()
	wg.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return tasks * n, time.Since(start)
}

func spawn(tasks int) func(int) (int, time.Duration) {
	return func(n int) (int, time.Duration) {
		var wg sync.WaitGroup
		child := func() { wg.Done() }

		start := time.Now()
		for i := 0; i < n; i++ {
			wg.Add(tasks)
			for t := 0; t < tasks; t++ {
				go child()
			}
			wg.Wait()
		}
		return tasks * n, time.Since(start)
	}
}
