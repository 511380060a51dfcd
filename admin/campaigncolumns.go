package admin

import (
	"reflect"

	"bursar/accounting"
)

func init() {
	economicsColumns[reflect.TypeFor[accounting.ScoreParts]()] = map[string]string{
		"send_rate":        "Send rate in percent.",
		"conversion_rate":  "Conversion in percent of its target, at most 100.",
		"cost_per_meeting": "Target ÷ cost per meeting in percent, at most 100; 0 where emails brought no meeting.",
	}
}
