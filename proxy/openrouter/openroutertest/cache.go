package openroutertest

import (
	"crypto/sha256"
	"strconv"
	"sync"
)

// responseCache is OpenRouter's cache of answers, for requests with
// X-OpenRouter-Cache: true. Only the ids are kept: an answer follows from its
// request anyway.
type responseCache struct {
	mu  sync.Mutex
	ids map[[32]byte]string
}

// consultCache makes the call a hit if an equal one was answered before: same
// key, endpoint, stream mode and body.
func (c *call) consultCache() {
	if c.r.Header.Get("X-OpenRouter-Cache") != "true" {
		return
	}
	c.cacheOn = true
	h := sha256.New()
	for _, part := range []string{c.key, c.r.URL.Path, strconv.FormatBool(c.req.Stream), string(c.body)} {
		_, _ = h.Write([]byte(part + "\x00")) // a hash takes everything
	}
	h.Sum(c.cacheKey[:0])
	cache := &c.s.cache
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if id, hit := cache.ids[c.cacheKey]; hit {
		c.cacheFrom, c.b.CacheHit = id, true
	}
}

// keepInCache remembers a completed answer.
func (c *call) keepInCache(a *answer) {
	if !c.cacheOn || c.b.CacheHit {
		return
	}
	cache := &c.s.cache
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.ids == nil {
		cache.ids = make(map[[32]byte]string)
	}
	cache.ids[c.cacheKey] = a.id
}

// cacheHeaders tell how the cache took the call.
func (c *call) cacheHeaders() {
	h := c.w.Header()
	switch {
	case c.b.CacheHit:
		if c.cacheFrom == "" { // by Behavior: nothing was kept
			c.cacheFrom = newID("gen-", c.started.Add(-5e9))
		}
		h.Set("X-OpenRouter-Cache-Status", "HIT")
		h.Set("X-OpenRouter-Cache-Age", "5")
		h.Set("X-OpenRouter-Cache-TTL", "300")
		h.Set("X-OpenRouter-Cache-Source-Id", c.cacheFrom)
	case c.cacheOn:
		h.Set("X-OpenRouter-Cache-Status", "MISS")
	}
}
