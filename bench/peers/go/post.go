// SPDX-License-Identifier: MIT

// Messages between threads. Go has one scheduler for all: what comes nearest to two threads with a
// loop each is two goroutines, each locked to its thread, and the threads bound to their cores.
package main

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

type cpuSet [16]uint64

// call does so for the calling thread.
func (s *cpuSet) call(trap uintptr) syscall.Errno {
	_, _, err := syscall.RawSyscall(trap, 0, unsafe.Sizeof(*s), uintptr(unsafe.Pointer(s)))
	return err
}

// cores returns those that this process may run on.
func cores() []int {
	var allowed cpuSet
	var list []int

	if err := allowed.call(syscall.SYS_SCHED_GETAFFINITY); err != 0 {
		fail("sched_getaffinity:", err)
	}
	for i := 0; i < 64*len(allowed); i++ {
		if allowed[i/64]&(1<<(i%64)) != 0 {
			list = append(list, i)
		}
	}
	return list
}

// onCore starts a goroutine that has a thread of its own, on the core; the thread ends with it.
func onCore(core int, f func()) {
	go func() {
		var s cpuSet

		runtime.LockOSThread()
		s[core/64] = 1 << (core % 64)
		if err := s.call(syscall.SYS_SCHED_SETAFFINITY); err != 0 {
			fail("sched_setaffinity:", err)
		}
		f()
	}()
}

func trip(n, here, there int) time.Duration {
	ping, pong := make(chan int), make(chan int)
	took := make(chan time.Duration)

	onCore(there, func() {
		for v := range ping {
			pong <- v + 1
		}
	})
	onCore(here, func() {
		start := time.Now()
		for i := 0; i < n; i++ {
			ping <- i
			check("answer", <-pong, i+1)
		}
		took <- time.Since(start)
		close(ping)
	})
	return <-took
}

func postTrip(n int) []figure {
	c := cores()
	us := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(n) }

	list := []figure{{"one-core", us(trip(n, c[0], c[0])), "us"}}
	if len(c) > 1 {
		list = append(list, figure{"two-cores", us(trip(n, c[0], c[1])), "us"})
	}
	return list
}

func postFlow(n int) []figure {
	const onTheWay = 4096
	c := cores()
	messages := make(chan int, onTheWay)
	sum := make(chan int)

	start := time.Now()
	onCore(c[0], func() {
		s := 0
		for v := range messages {
			s += v
		}
		sum <- s
	})
	onCore(c[len(c)-1], func() { generate(messages, n) })
	got := <-sum
	took := time.Since(start)
	check("sum", got, sumTo(n))
	return []figure{{"", float64(n) / took.Seconds() / 1e6, "M/s"}}
}
