package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"bursar/accounting"
)

// Huma's messages in plain words. They are its own variables, which it makes the
// messages of a schema from when that is registered.
func init() {
	validation.MsgUnexpectedProperty = msgUnknown
	validation.MsgExpectedRequiredProperty = "%s" + msgMissing
	validation.MsgExpectedBoolean = "expected true or false"
	validation.MsgExpectedNumber = "expected a number"
	validation.MsgExpectedInteger = msgWhole
	validation.MsgExpectedString = "expected a text"
	validation.MsgExpectedArray = "expected a list"
	validation.MsgExpectedObject = "expected an object"
	validation.MsgExpectedRFC3339DateTime = msgTime
	validation.MsgExpectedOneOf = "expected one of %s"
	validation.MsgExpectedMinimumNumber = "expected %v or more"
	validation.MsgExpectedExclusiveMinimumNumber = "expected more than %v"
	validation.MsgExpectedMaximumNumber = "expected %v or less"
	validation.MsgExpectedExclusiveMaximumNumber = "expected less than %v"
	validation.MsgExpectedMinLength = "expected a text of %d characters or more"
	validation.MsgExpectedMaxLength = "expected a text of at most %d characters"
	validation.MsgExpectedMinItems = "expected a list of %d entries or more"
	validation.MsgExpectedMaxItems = "expected a list of at most %d entries"
	validation.MsgExpectedMinProperties = "expected an object of %d members or more"
	validation.MsgExpectedMaxProperties = "expected an object of at most %d members"
}

const (
	msgUnknown = "there is no such field"
	msgMissing = " is missing" // after the field's name
	msgWhole   = "expected a whole number"
	msgTime    = "expected a time"
)

// msgToldAmount says what accounting.IsTellable allows.
var msgToldAmount = fmt.Sprintf("expected an amount from 0 to %d, with at most %d decimals", accounting.MaxToldAmount, accounting.MaxToldDecimals)

// plainWords are what huma says without a variable, by how that begins.
var plainWords = map[string]string{
	"invalid integer":   msgWhole,
	"invalid boolean":   "expected true or false",
	"invalid date/time": msgTime,
}

// ownProblem turns the errors that huma makes itself into our problems.
func ownProblem(schemas huma.Registry) huma.Transformer {
	return func(ctx huma.Context, _ string, v any) (any, error) {
		model, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		switch {
		case model.Status == http.StatusBadRequest && len(model.Errors) == 1 && model.Errors[0].Location == "body":
			return newProblem(model.Status, "The body is not JSON that can be read: %s.", unreadable(model.Errors[0].Message)), nil
		case model.Status == http.StatusBadRequest && len(model.Errors) == 0:
			return newProblem(model.Status, "The body is missing: send a JSON object."), nil
		case model.Status == http.StatusUnsupportedMediaType:
			return newProblem(model.Status, "The body is of a type that is not read here: send it as application/json."), nil
		case model.Status == http.StatusRequestEntityTooLarge:
			return newProblem(model.Status, "The body has more than the %d bytes that are read at once: send it in parts.", ctx.Operation().MaxBodyBytes), nil
		case model.Status != http.StatusUnprocessableEntity:
			return newProblem(model.Status, "%s", model.Detail), nil
		}
		fields := make([]fieldError, 0, len(model.Errors))
		for _, e := range model.Errors {
			fields = append(fields, fieldOf(ctx.Operation(), schemas, e))
		}
		return invalid(fields...), nil
	}
}

// unreadable says why a body is no JSON, without Go's own words.
func unreadable(reason string) string {
	reason = strings.TrimPrefix(reason, "json: ")
	if number, ok := strings.CutPrefix(reason, "cannot unmarshal number "); ok {
		number, _, _ = strings.Cut(number, " ")
		return "the number " + shown(number) + " is too large"
	}
	return shown(reason)
}

// fieldOf names the parameter, what was sent and what may be sent.
func fieldOf(op *huma.Operation, schemas huma.Registry, e *huma.ErrorDetail) fieldError {
	place, name, _ := strings.Cut(e.Location, ".")
	f := fieldError{Field: shown(name), Message: e.Message}
	if name == "" {
		f.Field = shown(place)
	}
	for begins, words := range plainWords {
		if strings.HasPrefix(f.Message, begins) {
			f.Message = words
		}
	}
	switch place {
	case "query", "path":
		f.Value = shownValue(e.Value)
		f.Allowed = allowedParameter(op, place, name)
	case "body":
		bodyField(&f, bodySchema(op), schemas, name, e)
	}
	return f
}

// allowedParameter says what a parameter may be; of one that there is not, which
// ones there are.
func allowedParameter(op *huma.Operation, place, name string) string {
	var known []string
	for _, p := range op.Parameters {
		switch {
		case p.In != place:
		case p.Name == name && p.Schema.Format == formatTime:
			return allowed(p.Schema) + ", with + written as %2B"
		case p.Name == name && p.Schema.MaxLength != nil && len(p.Schema.Enum) == 0:
			return allowed(p.Schema) + ", once"
		case p.Name == name:
			return allowed(p.Schema)
		default:
			known = append(known, p.Name)
		}
	}
	return strings.Join(known, ", ")
}

// bodyField completes what is said about a member of a body, at a path such as
// activities[3].type: the empty path is the body itself.
func bodyField(f *fieldError, body *huma.Schema, schemas huma.Registry, path string, e *huma.ErrorDetail) {
	schema := schemaAt(body, schemas, path)
	switch missing, ok := strings.CutSuffix(e.Message, msgMissing); {
	case ok: // huma names the object that lacks it
		f.Field, f.Message = shown(missing), "expected, and missing"
		if path != "" {
			f.Field = shown(path + "." + missing)
		}
		if schema = resolved(schema, schemas); schema != nil {
			schema = schema.Properties[missing]
		}
	case e.Message == msgUnknown:
		parent, _ := cutLast(path)
		schema = schemaAt(body, schemas, parent)
	default:
		if _, last := cutLast(path); last != "key" { // it may be one, whatever it looks like
			f.Value = shownValue(e.Value)
		}
	}
	if schema = resolved(schema, schemas); schema != nil {
		f.Allowed = allowed(schema)
	}
}

func bodySchema(op *huma.Operation) *huma.Schema {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"].Schema
}

// schemaAt is the schema of what stands at a path; nil: none is known.
func schemaAt(s *huma.Schema, schemas huma.Registry, path string) *huma.Schema {
	if path == "" {
		return s
	}
	for name := range strings.SplitSeq(path, ".") {
		name, index, _ := strings.Cut(name, "[")
		if s = resolved(s, schemas); s != nil && name != "" {
			s = s.Properties[name]
		}
		for range strings.Count(index, "]") {
			if s = resolved(s, schemas); s != nil {
				s = s.Items
			}
		}
	}
	return s
}

// cutLast cuts a path before its last member.
func cutLast(path string) (parent, last string) {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)], path[i+1:]
}

// resolved is the schema that a reference leads to.
func resolved(s *huma.Schema, schemas huma.Registry) *huma.Schema {
	if s == nil || s.Ref == "" {
		return s
	}
	return schemas.SchemaFromRef(s.Ref)
}

// shownValue is what was sent, as an error may repeat it. Lists and objects are
// not repeated.
func shownValue(v any) string {
	switch v := v.(type) {
	case nil, map[string]any, []any:
		return ""
	case float64:
		number, err := json.Marshal(v) // without an exponent, as most write numbers
		if err != nil {
			return ""
		}
		return string(number)
	default:
		return shown(fmt.Sprint(v))
	}
}

// shownAmount is an amount that was sent. One with a large exponent, which would
// be written out, is not repeated.
func shownAmount(a *accounting.Amount) string {
	if a.Exponent() < -maxShown || a.Exponent() > maxShown {
		return ""
	}
	return shown(a.String())
}

const formatTime = "date-time"

// allowed says in words what a schema admits.
func allowed(s *huma.Schema) string {
	switch {
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		return "one of " + strings.Join(values, ", ")
	case s.Format == formatTime:
		return "a time by RFC 3339 such as 2026-11-22T10:00:00Z"
	case s.Type == huma.TypeInteger && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("a whole number from %.0f to %.0f", *s.Minimum, *s.Maximum)
	case s.Type == huma.TypeObject && len(s.Properties) > 0:
		names := make([]string, 0, len(s.Properties))
		for name := range s.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		return "an object with " + strings.Join(names, ", ")
	case s.MaxLength != nil:
		return "text of at most " + strconv.Itoa(*s.MaxLength) + " characters"
	case s.MaxItems != nil:
		return "at most " + strconv.Itoa(*s.MaxItems) + " entries"
	case s.Type == huma.TypeNumber || s.Type == huma.TypeInteger:
		return allowedNumber(s)
	case s.Type == huma.TypeBoolean:
		return "true or false"
	}
	return ""
}

// allowedNumber is that of a number, which JSON does not put in quotes.
func allowedNumber(s *huma.Schema) string {
	kind := "a number"
	if s.Type == huma.TypeInteger {
		kind = "a whole number"
	}
	if len(s.Examples) > 0 {
		if example, err := json.Marshal(s.Examples[0]); err == nil {
			return kind + " without quotes such as " + string(example)
		}
	}
	return kind + " without quotes"
}

// wrongField is how accounting says what is wrong with a budget, a rule or an
// experiment: the field, what it holds where that is one word, one quoted text
// or one list, and what it should hold.
var wrongField = regexp.MustCompile(`(?s)^([^ :]+):?(?: ("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^ :"\[]\S*)(?:: | (is not)))?(.*)$`)

// wrongFields are the errors that were joined to err, each for its field.
func wrongFields(err error) []fieldError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []fieldError
		for _, e := range joined.Unwrap() {
			all = append(all, wrongFields(e)...)
		}
		return all
	}
	parts := wrongField.FindStringSubmatch(err.Error())
	value, message := parts[2], parts[3]+parts[4]
	if text, err := strconv.Unquote(value); err == nil {
		value = text
	}
	message = strings.TrimLeft(message, " :")
	if secretLike.MatchString(message) {
		message = "is not usable, and is not repeated: it looks like a secret"
	}
	return []fieldError{{Field: parts[1], Value: shown(value), Message: message}}
}
