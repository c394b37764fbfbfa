// SPDX-License-Identifier: MIT

// Timers that are started and stopped beside others, and very many goroutines that sleep.
package main

import (
	"sync"
	"syscall"
	"time"
)

// timers starts and stops one timer, which is used again: as a connection does with its deadline.
func timers(live int) func(int) (int, time.Duration) {
	return func(n int) (int, time.Duration) {
		others := make([]*time.Timer, live)
		stopped := 0

		for i := range others {
			others[i] = time.NewTimer(time.Hour + time.Duration(i)*time.Millisecond)
		}
		t := time.NewTimer(time.Hour)
		t.Stop()

		start := time.Now()
		for i := 0; i < n; i++ {
			t.Reset(time.Second + time.Duration(i%1000)*time.Millisecond)
			if t.Stop() {
				stopped++
			}
		}
		took := time.Since(start)
		check("stopped", stopped, n)
		for i := range others {
			if !others[i].Stop() {
				fail("a timer of an hour went off")
			}
		}
		return n, took
	}
}

func sleeps(n int) []figure {
	var wg sync.WaitGroup
	late := make([]time.Duration, n)

	cpu, start := cpuTime(), time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func(i int) {
			d := time.Duration(1+7919*i%1000) * time.Millisecond
			due := time.Now().Add(d)
			time.Sleep(d)
			late[i] = time.Since(due)
			wg.Done()
		}(i)
	}
	wg.Wait()
	wall := time.Since(start)
	cpu = cpuTime() - cpu
	peak := peakMemory()

	p99 := percentile(late, 99) // late is sorted now
	if late[0] < 0 {
		fail("a sleep was too short by", -late[0])
	}
	return []figure{
		{"cpu", cpu.Seconds(), "s"},
		{"wall", wall.Seconds(), "s"},
		{"late-p99", p99.Seconds() * 1e3, "ms"},
		{"memory", float64(peak) / (1 << 20), "MiB"},
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fail(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
