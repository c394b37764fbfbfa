// SPDX-License-Identifier: MIT

// Go's part in the bench suite: goroutines, channels, select, context, time, and of the x packages
// sync/semaphore and time/rate. The workloads and what is printed are defined in bench/README.md.
// GOMAXPROCS in the environment makes it go-1 or go-n; it is the same code. The collector is as Go
// comes: a larger GOGC was no faster in most of the workloads, and slower where garbage is made.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

// A figure is one line that is printed; name is what follows the workload's, if anything does.
type figure struct {
	name  string
	value float64
	unit  string
}

// A workload does its work n times over. Those that are fixed do not follow BENCH_SCALE, and a cold
// one has no warm-up, since what that left behind would be used again.
type workload struct {
	name        string
	n           int
	fixed, cold bool
	run         func(n int) []figure
}

var workloads = []workload{
	{name: "yield", n: 1000000, run: each(yield)},
	{name: "spawn-1000", n: 1000, run: each(spawn(1000))},
	{name: "spawn-100000", n: 10, run: each(spawn(100000))},
	{name: "chan-0", n: 2000000, run: each(channel(0))},
	{name: "chan-1024", n: 2000000, run: each(channel(1024))},
	{name: "select-0", n: 500000, run: each(selects(0))},
	{name: "select-16", n: 500000, run: each(selects(16))},
	{name: "pipeline-0", n: 1000000, run: each(pipeline(0))},
	{name: "pipeline-64", n: 1000000, run: each(pipeline(64))},
	{name: "pool-64", n: 1000000, run: each(pool)},
	{name: "sem-contended", n: 1000, run: each(semContended)},
	{name: "sem-free", n: 3000000, run: each(semFree)},
	{name: "limiter-allow", n: 3000000, run: each(limiterAllow)},
	{name: "limiter-wait-1000", n: 1000, run: limiterWait(1000)},
	{name: "limiter-wait-10000", n: 1000, run: limiterWait(10000)},
	{name: "limiter-wait-100000", n: 1000, run: limiterWait(100000)},
	{name: "ctx-cancel", n: 2000000, run: each(ctxCancel)},
	{name: "cancel-100000", n: 100000, fixed: true, run: each(cancelAll)},
	{name: "timer-0", n: 1000000, run: each(timers(0))},
	{name: "timer-1000", n: 1000000, run: each(timers(1000))},
	{name: "timer-100000", n: 1000000, run: each(timers(100000))},
	{name: "sleeps", n: 1000000, cold: true, run: sleeps},
	{name: "memory", n: 1000000, cold: true, run: memory},
	{name: "post-trip", n: 20000, run: postTrip},
	{name: "post-flow", n: 5000000, run: postFlow},
	{name: "files", n: 50000, run: files},
	{name: "read", n: 1 << 30, fixed: true, run: read},
}

// each makes a workload of one figure, ns for an operation, of a function that returns how many
// operations there were and how long they took.
func each(work func(n int) (int, time.Duration)) func(int) []figure {
	return func(n int) []figure {
		ops, took := work(n)
		return []figure{{"", float64(took.Nanoseconds()) / float64(ops), "ns"}}
	}
}

func scaled(n int) int {
	scale, err := strconv.ParseFloat(os.Getenv("BENCH_SCALE"), 64)
	if err != nil {
		return n
	}
	if n = int(float64(n) * scale); n < 1 {
		n = 1
	}
	return n
}

func run(w *workload) {
	n := w.n
	if !w.fixed {
		n = scaled(n)
	}
	if !w.cold {
		w.run((n + 9) / 10)
		runtime.GC()
	}
	for _, f := range w.run(n) {
		name := w.name
		if f.name != "" {
			name += " " + f.name
		}
		fmt.Printf("%s\t%.6g\t%s\n", name, f.value, f.unit)
	}
}

func fail(why ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"go:"}, why...)...)
	os.Exit(1)
}

func check(what string, got, want int) {
	if got != want {
		fail(what, "is", got, "and not", want)
	}
}

func main() {
	if len(os.Args) == 1 {
		for _, w := range workloads {
			fmt.Println(w.name)
		}
		fmt.Println("echo")
		return
	}
	if os.Args[1] == "echo" {
		echo()
		return
	}
	for i := range workloads {
		if workloads[i].name == os.Args[1] {
			run(&workloads[i])
			return
		}
	}
	fail("no workload", os.Args[1])
}
