package main

import (
	"fmt"
	"slices"
	"strings"
)

// The names that -only knows.
const (
	nameBare    = "bare"
	namePool    = "pool"
	nameNginx   = "nginx"
	nameHAProxy = "haproxy"
	nameBursar  = "bursar"
	nameSettler = "bursar+settler"

	protocolHTTP1 = "http1"
	protocolTLS   = "tls"

	loadJSON     = "json"
	loadPrompt   = "prompt"
	loadStreams  = "streams"
	loadLatency  = "latency"
	loadThousand = "thousand"
)

var (
	contenderNames = []string{nameBare, namePool, nameNginx, nameHAProxy, nameBursar, nameSettler}
	protocolNames  = []string{protocolHTTP1, protocolTLS}
	loadNames      = []string{loadJSON, loadPrompt, loadStreams, loadLatency, loadThousand}
)

// selection is what of each kind is to be measured; an empty list means all.
type selection struct {
	contenders, protocols, loads []string
}

func parseSelection(list string) (selection, error) {
	var s selection
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
		case slices.Contains(contenderNames, name):
			s.contenders = append(s.contenders, name)
		case slices.Contains(protocolNames, name):
			s.protocols = append(s.protocols, name)
		case slices.Contains(loadNames, name):
			s.loads = append(s.loads, name)
		default:
			return s, fmt.Errorf("-only: there is no %q: want some of %s", name,
				strings.Join(slices.Concat(contenderNames, protocolNames, loadNames), ", "))
		}
	}
	return s, nil
}

// contender keeps the bare proxy whatever is asked for: all ratios are to it.
func (s selection) contender(name string) bool {
	return name == nameBare || wanted(s.contenders, name)
}

func (s selection) protocol(name string) bool { return wanted(s.protocols, name) }

func (s selection) load(name string) bool { return wanted(s.loads, name) }

func wanted(list []string, name string) bool {
	return len(list) == 0 || slices.Contains(list, name)
}
