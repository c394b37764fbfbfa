// SPDX-License-Identifier: MIT

// The resident memory of goroutines that wait, and of the process at its peak.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func memory(tasks int) []figure {
	var ready, done sync.WaitGroup
	var sum int64
	c := make(chan int)

	runtime.GC()
	before := residentMemory()
	ready.Add(tasks)
	done.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			ready.Done()
			atomic.AddInt64(&sum, int64(<-c))
			done.Done()
		}()
	}
	ready.Wait()
	time.Sleep(20 * time.Millisecond)
	grown := residentMemory() - before

	for i := 1; i <= tasks; i++ {
		c <- i
	}
	done.Wait()
	check("sum", int(sum), sumTo(tasks))
	return []figure{{"", float64(grown) / float64(tasks), "bytes"}}
}

func residentMemory() int {
	var total, resident int

	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		fail(err)
	}
	if _, err := fmt.Sscan(string(b), &total, &resident); err != nil {
		fail("/proc/self/statm:", err)
	}
	return resident * os.Getpagesize()
}

func peakMemory() int {
	var kib int

	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		fail("/proc/self/status:", err)
	}
	return kib * 1024
}
