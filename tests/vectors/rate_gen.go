// SPDX-License-Identifier: MIT

// Rate_gen makes random sequences of calls on a rate limiter, and writes them with what Go's own
// golang.org/x/time/rate answered: the format of rate.tsv, one call a line.
//
// Versions of the package differ where a rate is 0, or so small that a wait overflows an int64, so
// such rates are left to rate.tsv. No reservation is cancelled twice: weir differs there on
// purpose.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

var rates = []rate.Limit{0.25, 0.4, 0.7692307692307693, 1, 3, 5, 10, 100, 1000, 1e6, 1e9, rate.Inf}

type sequence struct {
	rnd     *rand.Rand
	out     *bufio.Writer
	no      int
	start   time.Time
	now     time.Duration // since start
	big     int           // bursts and requests are below this
	limiter *rate.Limiter
	live    map[int]*rate.Reservation
	ids     int
}

func (s *sequence) line(op, arg, id, result string) {
	fmt.Fprintf(s.out, "%d\t%s\t%d\t%s\t%s\t%s\n", s.no, op, s.now, arg, id, result)
}

func number(x float64) string {
	return strconv.FormatFloat(x, 'g', 17, 64)
}

func rateName(r rate.Limit) string {
	if r == rate.Inf {
		return "inf"
	}
	return number(float64(r))
}

// One of the usual rates, or any between 0.001 and 10,000,000.
func (s *sequence) rate() rate.Limit {
	if s.rnd.Intn(3) > 0 {
		return rates[s.rnd.Intn(len(rates))]
	}
	return rate.Limit(math.Pow(10, s.rnd.Float64()*10-3))
}

// Time stands still, goes on, or goes back a little.
func (s *sequence) tick() {
	switch s.rnd.Intn(10) {
	case 0, 1, 2:
	case 3:
		s.now -= time.Duration(s.rnd.Int63n(int64(s.now)+1)) / 8
	default:
		s.now += time.Duration(s.rnd.ExpFloat64() * float64(400*time.Millisecond))
	}
}

func (s *sequence) reserve(t time.Time) {
	n := s.rnd.Intn(s.big)
	r := s.limiter.ReserveN(t, n)
	result := "0,inf"
	if r.OK() {
		result = fmt.Sprintf("1,%d", r.DelayFrom(s.start))
	}
	s.ids++
	s.live[s.ids] = r
	s.line("reserve", strconv.Itoa(n), strconv.Itoa(s.ids), result)
}

func (s *sequence) cancel(t time.Time) {
	id := 1 + s.rnd.Intn(s.ids+1)
	if r := s.live[id]; r != nil {
		r.CancelAt(t)
		delete(s.live, id)
		s.line("cancel", "", strconv.Itoa(id), "")
	}
}

func (s *sequence) step() {
	s.tick()
	t := s.start.Add(s.now)
	switch k := s.rnd.Intn(100); {
	case k < 25:
		n := s.rnd.Intn(s.big)
		result := "0"
		if s.limiter.AllowN(t, n) {
			result = "1"
		}
		s.line("allow", strconv.Itoa(n), "", result)
	case k < 60:
		s.reserve(t)
	case k < 75:
		s.cancel(t)
	case k < 83:
		r := s.rate()
		s.limiter.SetLimitAt(t, r)
		s.line("setlimit", rateName(r), "", "")
	case k < 90:
		burst := s.rnd.Intn(s.big)
		s.limiter.SetBurstAt(t, burst)
		s.line("setburst", strconv.Itoa(burst), "", "")
	default:
		s.line("tokens", "", "", number(s.limiter.TokensAt(t)))
	}
}

func main() {
	seed := flag.Int64("seed", 1, "of the random numbers")
	count := flag.Int("count", 1000, "sequences")
	flag.Parse()

	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprintf(out, "# seq\top\tt_ns\targ\tid\tresult. Oracle: golang.org/x/time/rate, %s, seed %d\n",
		runtime.Version(), *seed)
	rnd := rand.New(rand.NewSource(*seed))
	for no := 0; no < *count; no++ {
		s := &sequence{rnd: rnd, out: out, no: no, start: time.Unix(1_000_000_000, 0),
			big: 4, live: map[int]*rate.Reservation{}}
		if rnd.Intn(4) == 0 {
			s.big = 1_000_000
		}
		r, burst := s.rate(), rnd.Intn(s.big)
		s.limiter = rate.NewLimiter(r, burst)
		s.line("new", rateName(r), strconv.Itoa(burst), "")
		for i := 20 + rnd.Intn(40); i > 0; i-- {
			s.step()
		}
	}
}
