package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets/*.css assets/*.js
var assetFiles embed.FS

// asset is a file that pages load. Its path holds a hash of what is in it, so
// that a browser keeps it for as long as it is the same.
type asset struct {
	path, mediaType string
	content         []byte
}

var (
	styles  = joinAssets("bursar.css", "text/css; charset=utf-8", "base.css", "chart.css")
	scripts = joinAssets("bursar.js", "text/javascript; charset=utf-8", "page.js", "chart.js", "live.js")
)

// joinAssets makes one file of several: pages load little, and once.
func joinAssets(name, mediaType string, files ...string) asset {
	var all bytes.Buffer
	for _, file := range files {
		content, err := assetFiles.ReadFile(path.Join("assets", file))
		if err != nil {
			panic(err) // the names are constants
		}
		all.Write(content)
	}
	sum := sha256.Sum256(all.Bytes())
	stem, extension, _ := strings.Cut(name, ".")
	return asset{path: "/assets/" + stem + "-" + hex.EncodeToString(sum[:6]) + "." + extension, mediaType: mediaType, content: all.Bytes()}
}

// serveAsset answers GET /assets/{name}.
func (h *Handler) serveAsset(w http.ResponseWriter, r *http.Request) error {
	for _, a := range []*asset{&styles, &scripts} {
		if a.path == r.URL.Path {
			w.Header().Set("Content-Type", a.mediaType)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
			return nil
		}
	}
	return newProblem(http.StatusNotFound, "There is no file %s.", shown(r.URL.Path))
}
