// SPDX-License-Identifier: MIT

// The token bucket of x/time/rate, asked and waited for.
package main

import (
	"context"
	"sort"
	"time"

	"golang.org/x/time/rate"
)

func limiterAllow(n int) (int, time.Duration) {
	const perSecond, burst = 1000000, 1000
	limiter := rate.NewLimiter(perSecond, burst)
	granted := 0

	start := time.Now()
	for i := 0; i < n; i++ {
		if limiter.Allow() {
			granted++
		}
	}
	took := time.Since(start)
	if due := int(took.Seconds()*perSecond) + burst; granted > due+1 {
		fail(granted, "grants of", due)
	}
	return n, took
}

// limiterWait waits for grants as they come, for so many milliseconds.
func limiterWait(perSecond int) func(int) []figure {
	return func(ms int) []figure {
		limiter := rate.NewLimiter(rate.Limit(perSecond), 1)
		ctx := context.Background()
		length := time.Duration(ms) * time.Millisecond
		gaps := make([]time.Duration, 0, int(length.Seconds()*float64(perSecond))+1)

		// The first grant is there from the beginning: the time is taken from it on.
		limiter.Wait(ctx)
		start := time.Now()
		for last := start; last.Sub(start) < length; {
			if err := limiter.Wait(ctx); err != nil {
				fail(err)
			}
			now := time.Now()
			gaps = append(gaps, now.Sub(last))
			last = now
		}
		due := time.Since(start).Seconds() * float64(perSecond)
		return []figure{
			{"rate-error", (float64(len(gaps)) - due) / due * 100, "%"},
			{"gap-p99", float64(percentile(gaps, 99)) / 1e3, "us"},
		}
	}
}

// percentile sorts what it is given.
func percentile(d []time.Duration, p int) time.Duration {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return d[(len(d)-1)*p/100]
}
