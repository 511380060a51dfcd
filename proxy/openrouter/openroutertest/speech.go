package openroutertest

import (
	"net/http"
)

// speechSkin is POST /audio/speech. Its answer is sound: the id stands in the
// header only, and the cost nowhere but in GET /generation.
var speechSkin = &skin{apiType: "tts", idPrefix: "gen-", errorBody: plainError}

// mp3Frame begins what every answer of sound repeats: a frame header of MPEG-1
// layer III, 128 kbit/s, 44.1 kHz, and silence.
var mp3Frame = append([]byte{0xFF, 0xFB, 0x90, 0x64}, make([]byte, 413)...)

// sound sends the sound, a frame for each token, or Behavior.Size bytes.
func (c *call) sound(a *answer) {
	c.settle(a)
	if c.b.Encoding == "" {
		c.b.Encoding = "identity" // the edge does not compress audio
	}
	o, err := c.open(a, "audio/mpeg", false)
	if err == nil {
		err = o.binary(a)
	}
	if err != nil {
		c.s.aborted.Add(1)
	}
}

func (o *wire) binary(a *answer) error {
	size := o.c.b.Size
	if size <= 0 {
		size = a.tokens.completion * int64(len(mp3Frame))
	}
	half := size / 2
	for size > 0 {
		if size <= half {
			half = -1
			switch o.c.b.Fault {
			case CutMidway:
				o.cut()
			case HangMidway:
				return o.hang()
			}
		}
		part := mp3Frame[:min(size, int64(len(mp3Frame)))]
		if err := o.sendNow(part); err != nil {
			return err
		}
		size -= int64(len(part))
	}
	return o.close()
}

// videoContent is the body of GET /videos/{id}/content.
func videoContent(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "video/mp4")
	_, _ = w.Write([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")) // the client may have left
}
