// SPDX-License-Identifier: MIT

// Channels: one alone, a select over several, a pipeline of two and a pool of workers behind one.
package main

import (
	"sync"
	"time"
)

// generate sends 1 to n and closes; sumTo is what they come to.
func generate(c chan<- int, n int) {
	for i := 1; i <= n; i++ {
		c <- i
	}
	close(c)
}

func sumTo(n int) int {
	return n * (n + 1) / 2
}

func channel(room int) func(int) (int, time.Duration) {
	return func(n int) (int, time.Duration) {
		c := make(chan int, room)
		sum := 0

		start := time.Now()
		go generate(c, n)
		for v := range c {
			sum += v
		}
		took := time.Since(start)
		check("sum", sum, sumTo(n))
		return n, took
	}
}

// selectSend sends until done, and returns the sum of what the channel took.
func selectSend(c chan<- int, done <-chan struct{}) int {
	sum := 0
	for i := 1; ; i++ {
		select {
		case c <- i:
			sum += i
		case <-done:
			return sum
		}
	}
}

func selects(room int) func(int) (int, time.Duration) {
	return func(n int) (int, time.Duration) {
		var c [4]chan int
		var sent [4]int
		var wg sync.WaitGroup
		done := make(chan struct{})
		sum := 0

		for i := range c {
			c[i] = make(chan int, room)
		}
		start := time.Now()
		wg.Add(len(c))
		for i := range c {
			go func(i int) {
				sent[i] = selectSend(c[i], done)
				wg.Done()
			}(i)
		}
		for i := 0; i < n; i++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			case v := <-c[2]:
				sum += v
			case v := <-c[3]:
				sum += v
			case <-done:
				fail("done too early")
			}
		}
		close(done)
		wg.Wait()
		took := time.Since(start)

		// What was sent and not received is still in the channels.
		for i := range c {
			close(c[i])
			for v := range c[i] {
				sum += v
			}
		}
		check("sum", sum, sent[0]+sent[1]+sent[2]+sent[3])
		return n, took
	}
}

func pipeline(room int) func(int) (int, time.Duration) {
	return func(n int) (int, time.Duration) {
		first, second := make(chan int, room), make(chan int, room)
		sum := 0

		start := time.Now()
		go generate(first, n)
		go func() {
			for v := range first {
				second <- v
			}
			close(second)
		}()
		for v := range second {
			sum += v
		}
		took := time.Since(start)
		check("sum", sum, sumTo(n))
		return n, took
	}
}

//go:noinline
func add(sum *int, v int) {
	*sum += v
}

func pool(n int) (int, time.Duration) {
	const workers = 64
	var sums [workers]int
	var wg sync.WaitGroup
	jobs := make(chan int, 64)

	start := time.Now()
	wg.Add(workers)
	for w := 0; w < workers; w++ {
		go func(w int) {
			sum := 0
			for v := range jobs {
				add(&sum, v)
			}
			sums[w] = sum
			wg.Done()
		}(w)
	}
	generate(jobs, n)
	wg.Wait()
	took := time.Since(start)

	sum := 0
	for _, s := range sums {
		sum += s
	}
	check("sum", sum, sumTo(n))
	return n, took
}
