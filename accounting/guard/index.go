package guard

import "bursar/accounting"

// index finds what applies to a call by the most selective field of its scope,
// so that ten thousand budgets of as many campaigns cost a call no more than
// one. It is not changed once built.
type index[T any] struct {
	all                                  []T
	campaigns, keys, platforms, purposes map[string][]T
	models                               map[string][]T
	everyModel                           []T // all of models
}

func (x *index[T]) add(s *accounting.Scope, v T) {
	switch {
	case s.CampaignID != "":
		put(&x.campaigns, s.CampaignID, v)
	case s.Key != "":
		put(&x.keys, s.Key, v)
	case s.Model != "":
		put(&x.models, s.Model, v)
		x.everyModel = append(x.everyModel, v)
	case s.Platform != "":
		put(&x.platforms, s.Platform, v)
	case s.Purpose != "":
		put(&x.purposes, s.Purpose, v)
	default:
		x.all = append(x.all, v)
	}
}

func put[T any](m *map[string][]T, key string, v T) {
	if *m == nil {
		*m = make(map[string][]T)
	}
	(*m)[key] = append((*m)[key], v)
}

// byTags are those whose scope may hold the call, without those that are found
// by model.
func (x *index[T]) byTags(t *accounting.Tags, keyFingerprint string) [5][]T {
	return [5][]T{x.all, x.campaigns[t.CampaignID], x.keys[keyFingerprint], x.platforms[t.Platform], x.purposes[t.Purpose]}
}

// byModel are those that are found by the model with this name.
func (x *index[T]) byModel(name string) []T { return x.models[name] }

// needsModel reports whether some can only be found by model.
func (x *index[T]) needsModel() bool { return len(x.models) > 0 }
