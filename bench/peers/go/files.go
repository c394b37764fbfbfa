// SPDX-License-Identifier: MIT

// Files: many small ones read whole, and a large one from front to end.
package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sumWords adds up the 64-bit words of what was read.
func sumWords(b []byte) uint64 {
	var sum uint64
	for ; len(b) >= 8; b = b[8:] {
		sum += binary.LittleEndian.Uint64(b)
	}
	return sum
}

// readWhole reads a file into the buffer, which has room for more: a short read is the end.
func readWhole(name string, buf []byte) int {
	f, err := os.Open(name)
	if err != nil {
		fail(err)
	}
	n, err := f.Read(buf)
	if err != nil {
		fail(err)
	}
	f.Close()
	return n
}

func files(n int) []figure {
	const inFlight, size = 64, 4096
	var wg sync.WaitGroup
	var next, bytes int64
	var sum uint64
	dir := os.Getenv("BENCH_FILES")

	start := time.Now()
	wg.Add(inFlight)
	for t := 0; t < inFlight; t++ {
		go func() {
			buf := make([]byte, 2*size)
			for {
				i := int(atomic.AddInt64(&next, 1)) - 1
				if i >= n {
					break
				}
				got := readWhole(filepath.Join(dir, strconv.Itoa(i)), buf)
				atomic.AddInt64(&bytes, int64(got))
				atomic.AddUint64(&sum, sumWords(buf[:got]))
			}
			wg.Done()
		}()
	}
	wg.Wait()
	took := time.Since(start)
	check("bytes", int(bytes), n*size)
	check("sum", int(sum), n*size/8*0x0101010101010101)
	return []figure{{"", float64(n) / took.Seconds() / 1e3, "k/s"}}
}

// read has as many pieces in flight as there are threads to copy them.
func read(size int) []figure {
	const piece = 256 << 10
	var wg sync.WaitGroup
	var next, bytes int64
	var sum uint64

	f, err := os.Open(filepath.Join(os.Getenv("BENCH_FILES"), "large"))
	if err != nil {
		fail(err)
	}
	defer f.Close()

	start := time.Now()
	for t := 0; t < runtime.GOMAXPROCS(0); t++ {
		wg.Add(1)
		go func() {
			buf := make([]byte, piece)
			for {
				at := (atomic.AddInt64(&next, 1) - 1) * piece
				if at >= int64(size) {
					break
				}
				got, err := f.ReadAt(buf, at)
				if err != nil && !errors.Is(err, io.EOF) {
					fail(err)
				}
				atomic.AddInt64(&bytes, int64(got))
				atomic.AddUint64(&sum, sumWords(buf[:8]))
			}
			wg.Done()
		}()
	}
	wg.Wait()
	took := time.Since(start)
	check("bytes", int(bytes), (size+piece-1)/piece*piece)
	check("sum", int(sum), 0)
	return []figure{{"", float64(size) / took.Seconds() / 1e9, "GB/s"}}
}
