package accounting

import (
	"encoding/json"
	"io"
)

// NewJSONLinesEncoder writes rows as one JSON object a line, in the order of the
// columns. Unknown is null; amounts are JSON numbers with all their digits, to
// be read into a decimal and not into a floating-point number.
func NewJSONLinesEncoder(w io.Writer, columns []ExportColumn) ExportEncoder {
	names := make([][]byte, len(columns))
	for i := range columns {
		lead := byte(',')
		if i == 0 {
			lead = '{'
		}
		names[i] = append(appendJSON([]byte{lead}, columns[i].Name), ':')
	}
	return &lineEncoder{w: w, line: func(dst []byte, row *ExportRow) []byte {
		for i := range columns {
			c := &columns[i]
			dst = append(dst, names[i]...)
			switch v := c.Read(row); {
			case !v.Known:
				dst = append(dst, "null"...)
			case c.Kind == ExportText || c.Kind == ExportTime:
				dst = appendJSON(dst, c.literal(v))
			default:
				dst = append(dst, c.literal(v)...)
			}
		}
		return append(dst, "}\n"...)
	}}
}

// appendJSON appends text as a JSON string.
func appendJSON(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // text always has a JSON form
	return append(dst, quoted...)
}
