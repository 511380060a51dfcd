package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// clockTick is the unit of the times in /proc/<pid>/stat: USER_HZ, which is 100
// on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is the CPU time that a process has used, user and system, all its
// threads, without its children.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return parseCPUTime(text)
}

// parseCPUTime reads utime and stime, the 14th and 15th field. The second field
// is the program's name in parentheses and may hold anything.
func parseCPUTime(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("a process's stat of %d fields: want 13 or more behind the name", len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read a process's CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// residentBytes is the memory of a process that is in RAM.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS: it has ended", pid)
}

// awaitQuiet waits until the process has stopped working, so that what it does
// after a load is counted with it.
func awaitQuiet(ctx context.Context, pid int) (time.Duration, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	for range 100 {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
		now, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		if now-before <= clockTick {
			return now, nil
		}
		before = now
	}
	return 0, errors.New("it is still working 25 s after the load has ended")
}

// allocations are what a Go program has allocated since its start.
type allocations struct{ objects, bytes float64 }

// readAllocations scrapes a Prometheus endpoint with client_golang's Go
// collector.
func readAllocations(ctx context.Context, url string) (allocations, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return allocations{}, fmt.Errorf("read %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return allocations{}, fmt.Errorf("read %s: %w", url, err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return allocations{}, fmt.Errorf("read %s: %w", url, err)
	}
	objects, bytes := families["go_memstats_mallocs_total"], families["go_memstats_alloc_bytes_total"]
	if len(objects.GetMetric()) == 0 || len(bytes.GetMetric()) == 0 {
		return allocations{}, fmt.Errorf("%s does not count allocations", url)
	}
	return allocations{objects.GetMetric()[0].GetCounter().GetValue(), bytes.GetMetric()[0].GetCounter().GetValue()}, nil
}
