package openrouter

import "bytes"

// kind is what the "type" of a content part or of an item of input means for
// its tokens.
type kind uint8

const (
	kindText     kind = iota // or no type: its bytes bound its tokens
	kindImage                // needs an image
	kindAudio                // needs audio
	kindDocument             // needs a source of text
	kindOther                // not known here, or without a bound
)

// kinds are the types of chat, responses and messages whose tokens are
// bounded. What stands for something that is kept elsewhere is not among them.
var kinds = map[string]kind{
	"text": kindText, "input_text": kindText, "output_text": kindText, "summary_text": kindText, "reasoning_text": kindText,
	"refusal": kindText, "message": kindText, "reasoning": kindText, "thinking": kindText, "redacted_thinking": kindText,
	"tool_use": kindText, "tool_result": kindText, "tool_call": kindText, "function": kindText,
	"function_call": kindText, "function_call_output": kindText,
	"custom_tool_call": kindText, "custom_tool_call_output": kindText,
	"local_shell_call": kindText, "local_shell_call_output": kindText,
	"search_result": kindText, "server_tool_use": kindText, "web_search_call": kindText,
	"web_search_result": kindText, "web_search_tool_result": kindText,
	"image_url": kindImage, "input_image": kindImage, "image": kindImage, "computer_screenshot": kindImage,
	"computer_call": kindText, "computer_call_output": kindText,
	"input_audio": kindAudio, "document": kindDocument,
}

// origin is where the "source" of an image or a document of /messages is.
type origin uint8

const (
	originNone origin = iota
	originInline
	originText
	originElsewhere
)

const (
	reasonURL   = "is a URL, and what it leads to is not known"
	remedyURL   = "send the image inline, as a data: URL"
	reasonFile  = "is a file or a video, whose tokens cannot be counted"
	remedyFile  = "send its text"
	reasonKind  = "is of a kind whose tokens cannot be counted"
	remedyKind  = "send text or an inline image"
	reasonMedia = "holds no inline data that could be found"
)

// readItems reads a list of messages or of items of input.
func (r *factsReader) readItems(name string) {
	if r.peek() != '[' {
		r.facts.Messages++
		r.skip()
		return
	}
	r.push(name)
	defer r.pop()
	i := 0
	for more := r.enterArray(); more; more = r.nextElement() {
		r.at(i)
		i++
		r.facts.Messages++
		r.element()
	}
}

// element reads one of a list of parts: an object, or a text.
func (r *factsReader) element() {
	if r.peek() == '{' {
		r.item()
		return
	}
	r.skip()
}

// content reads a text, a part or a list of parts.
func (r *factsReader) content(name string) {
	r.push(name)
	defer r.pop()
	if r.peek() != '[' {
		r.element()
		return
	}
	i := 0
	for more := r.enterArray(); more; more = r.nextElement() {
		r.at(i)
		i++
		r.element()
	}
}

// item reads a message, an item of input or a content part: they differ in
// members, and a member means the same in all of them.
func (r *factsReader) item() {
	var (
		what  kind
		from  origin
		size  int  // of an inline source
		found bool // an image or audio beside it
		seen  uint16
	)
	for more := r.enterObject(); more; more = r.nextMember() {
		place, name := itemMember(r.key)
		if place != 0 {
			if seen&place != 0 {
				r.twice(name)
			}
			seen |= place
			if r.null() {
				continue
			}
		}
		switch place {
		case 0:
			r.skip()
		case itemType:
			what = r.readKind()
		case itemContent, itemOutput, itemImages:
			r.content(name)
		case itemImageURL:
			r.imageURL()
			found = true
		case itemSource:
			from, size = r.source()
		case itemInputAudio:
			r.inputAudio()
			found = true
		case itemElsewhere:
			r.skip()
			r.unbounded(name, reasonFile, remedyFile)
		}
	}
	switch {
	case from == originElsewhere:
		r.unbounded("source", reasonURL, "send it inline")
	case from == originInline && what == kindImage:
		r.facts.Images++
		r.media += size
	case from == originInline:
		r.unbounded("source", reasonFile, remedyFile)
	case what == kindOther, what == kindDocument && from != originText:
		r.unbounded("type", reasonKind, remedyKind)
	case (what == kindImage || what == kindAudio) && !found:
		r.unbounded("", reasonMedia, remedyKind)
	}
}

// The members of an item that matter, a bit for each.
const (
	itemType uint16 = 1 << iota
	itemContent
	itemOutput
	itemImages
	itemImageURL
	itemSource
	itemInputAudio
	itemElsewhere
)

// itemMember tells the members apart. Some come under several names; then
// each is a problem of its own, and two of them are no news.
func itemMember(key []byte) (place uint16, name string) {
	switch string(key) {
	case "type":
		return itemType, "type"
	case "content":
		return itemContent, "content"
	case "output":
		return itemOutput, "output"
	case "images":
		return itemImages, "images"
	case "image_url":
		return itemImageURL, "image_url"
	case "source":
		return itemSource, "source"
	case "input_audio":
		return itemInputAudio, "input_audio"
	case "audio":
		return itemElsewhere, "audio"
	case "file":
		return itemElsewhere, "file"
	case "file_id":
		return itemElsewhere, "file_id"
	case "file_ids":
		return itemElsewhere, "file_ids"
	case "file_url":
		return itemElsewhere, "file_url"
	case "file_data":
		return itemElsewhere, "file_data"
	case "video_url":
		return itemElsewhere, "video_url"
	case "input_video":
		return itemElsewhere, "input_video"
	case "video":
		return itemElsewhere, "video"
	}
	return 0, ""
}

func (r *factsReader) readKind() kind {
	name, ok := r.text()
	if what, known := kinds[string(name)]; ok && known {
		return what
	}
	return kindOther
}

// imageURL reads an image as chat and responses send it: a URL, or an object
// with one.
func (r *factsReader) imageURL() {
	if r.peek() != '{' {
		r.inlineImage()
		return
	}
	urls := 0
	for more := r.enterObject(); more; more = r.nextMember() {
		if string(r.key) != "url" {
			r.skip()
			continue
		}
		urls++
		r.inlineImage()
	}
	if urls != 1 {
		r.unbounded("image_url", "does not hold one URL", remedyURL)
	}
}

func (r *factsReader) inlineImage() {
	if r.peek() != '"' {
		r.skip()
		r.unbounded("image_url", reasonMedia, remedyURL)
		return
	}
	url := r.raw()
	if !bytes.HasPrefix(url, []byte("data:image/")) {
		r.unbounded("image_url", reasonURL, remedyURL)
		return
	}
	r.facts.Images++
	r.media += len(url)
}

// inputAudio reads {"data": base64, "format": …}.
func (r *factsReader) inputAudio() {
	if r.peek() != '{' {
		r.skip()
		r.unbounded("input_audio", reasonMedia, remedyKind)
		return
	}
	found := 0
	for more := r.enterObject(); more; more = r.nextMember() {
		if string(r.key) != "data" || r.peek() != '"' {
			r.skip()
			continue
		}
		data := r.raw()
		found++
		r.media += len(data)
		if bytes.IndexByte(data[:min(len(data), 16)], ':') >= 0 && !bytes.HasPrefix(data, []byte("data:audio/")) {
			r.unbounded("input_audio", reasonURL, "send the audio inline")
		}
	}
	if r.facts.Audio++; found != 1 {
		r.unbounded("input_audio", reasonMedia, "send the audio inline")
	}
}

// source reads the source of an image or a document: its own bytes, a text,
// or a place elsewhere. size is that of the data.
func (r *factsReader) source() (from origin, size int) {
	if r.peek() != '{' {
		r.skip()
		return originElsewhere, 0
	}
	r.push("source")
	defer r.pop()
	types, data := 0, 0
	for more := r.enterObject(); more; more = r.nextMember() {
		switch string(r.key) {
		case "type":
			types++
			from = originOf(r.text())
		case "data":
			data++
			start := r.pos
			r.skip()
			size = r.pos - start - len(`""`)
		case "content":
			r.content("content")
		default:
			r.skip()
		}
	}
	if types != 1 || data > 1 {
		return originElsewhere, 0
	}
	return from, size
}

func originOf(name []byte, ok bool) origin {
	switch {
	case ok && string(name) == "base64":
		return originInline
	case ok && (string(name) == "text" || string(name) == "content"):
		return originText
	}
	return originElsewhere
}
