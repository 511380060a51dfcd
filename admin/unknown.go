package admin

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// admitUnknown says in the schemas that an amount behind a pointer may be null.
// huma knows that of its own numbers, but asks a type that describes itself,
// as the amount does, once for its values and its pointers. One that is left
// out when it is not known is never sent as null.
func admitUnknown(schemas huma.Registry) {
	for name, schema := range schemas.Map() {
		t := schemas.TypeFromRef(schemaPrefix + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, field := range reflect.VisibleFields(t) {
			key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			property := schema.Properties[key]
			if property != nil && field.Type == reflect.TypeFor[*accounting.Amount]() && !strings.Contains(options, "omit") {
				property.Nullable = true
			}
		}
	}
}
