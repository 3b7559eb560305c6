// One job of run.py: quamina's rate over the events of a file.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/timbray/quamina"
)

type job struct {
	Events   string
	Count    int
	Patterns []json.RawMessage
	Rounds   int
	Seconds  float64
}

// seconds is the time that this thread has run: clock_gettime(CLOCK_THREAD_CPUTIME_ID).
func seconds() float64 {
	const threadCPU = 3
	var at syscall.Timespec
	if _, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&at)), 0); failed != 0 {
		log.Fatal(failed)
	}
	return float64(at.Nano()) / 1e9
}

func used() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func read(name string, count int) (events [][]byte) {
	file, err := os.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for len(events) < count && lines.Scan() {
		events = append(events, append([]byte(nil), lines.Bytes()...))
	}
	return events
}

func main() {
	runtime.LockOSThread()
	var asked job
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	events := read(asked.Events, asked.Count)
	before := used()
	matcher, err := quamina.New()
	if err != nil {
		log.Fatal(err)
	}
	start := seconds()
	for number, pattern := range asked.Patterns {
		if err := matcher.AddPattern(number, string(pattern)); err != nil {
			log.Fatal(err)
		}
	}
	adding, bytes := seconds()-start, used()-before
	hits, best, spent := 0, math.Inf(1), 0.0
	for round := 0; round < 1 || round < asked.Rounds && spent < asked.Seconds; round++ {
		hits, start = 0, seconds()
		for _, event := range events {
			found, err := matcher.MatchesForEvent(event)
			if err != nil {
				log.Fatal(err)
			}
			hits += len(found)
		}
		took := seconds() - start
		best, spent = min(best, took), spent+took
	}
	fmt.Printf("{\"rate\": %f, \"hits\": %d, \"adding_s\": %f, \"bytes\": %d}\n",
		float64(len(events))/best, hits, adding, bytes)
}
