package admin

// reconciliationColumns describes a row of reconciliations for readers of the
// API.
var reconciliationColumns = map[string]string{
	"day":              "The UTC day.",
	"source":           "Where OpenRouter's figure comes from: activity, key or credits.",
	"key_fingerprint":  "Hex SHA-256 of the key that is compared; empty for the whole account.",
	"ours_usd":         "What Bursar recorded, in USD.",
	"theirs_usd":       "What OpenRouter says, in USD; null when it was not to be had.",
	"difference_usd":   "theirs_usd less ours_usd.",
	"other_keys_usd":   "Of theirs_usd, spent by keys that made no call through Bursar that day. Shown, but no reason for an alert.",
	"dark_spend_usd":   "Spent on our keys by calls that never came through Bursar, in USD; null when it cannot be told.",
	"dark_calls":       "How many requests OpenRouter counted beyond our calls; null when it counts none.",
	"our_calls":        "Calls that Bursar recorded, without failed ones, which are not billed.",
	"their_calls":      "Requests that OpenRouter counted.",
	"open_calls":       "Of ours, whose cost was not known yet.",
	"unverified_calls": "Of ours, whose cost no record of OpenRouter's had confirmed.",
	"unverified_usd":   "What these cost, in USD.",
	"sampled_from":     "When the running figure was noted that stands for the day's start.",
	"sampled_to":       "When the running figure was noted that stands for the day's end.",
	"calls_in_flight":  "Calls that were under way at one of these moments: the figure may or may not hold them.",
	"in_flight_usd":    "What these cost, in USD.",
	"tolerance":        "The share of theirs_usd that a difference may have.",
	"verdict":          "agrees: to the last digit. within_tolerance: a difference below the tolerance, or below what was in flight. differs: above it. unavailable: nothing to compare with.",
	"reason":           "Why nothing could be compared; else empty.",
	"models":           "Both sides by model, the greatest difference first; of the activity only.",
	"suspects":         "Calls that may explain a difference, the likeliest first.",
	"checked_at":       "When the two sides were compared.",
}

var modelDifferenceColumns = map[string]string{
	"model":          "The model, as OpenRouter's activity names it.",
	"ours_usd":       "What Bursar recorded, in USD.",
	"theirs_usd":     "What OpenRouter says, in USD.",
	"difference_usd": "theirs_usd less ours_usd.",
	"our_calls":      "Calls that Bursar recorded.",
	"their_calls":    "Requests that OpenRouter counted.",
	"open_calls":     "Of ours, whose cost was not known yet.",
}

var suspectColumns = map[string]string{
	"id":            "Bursar's name for the call.",
	"generation_id": "OpenRouter's name for the generation.",
	"model":         "The model that served the call.",
	"status":        "Where the accounting of the call stood.",
	"cost_usd":      "What is recorded for it, in USD.",
	"why":           "open: its cost was not known. mismatch: OpenRouter's record differed from the response. unverified: no record had confirmed it. midnight: it began or ended within a minute of the day's ends.",
}

var closedMonthColumns = map[string]string{
	"month":               "The UTC month.",
	"openrouter_cost_usd": "The closed figure: what OpenRouter charged, in USD.",
	"total_cost_eur":      "With the fixed costs, in EUR.",
	"open_calls":          "Calls of the month whose cost is not known yet.",
	"unverified_calls":    "Calls of the month whose cost no record of OpenRouter's has confirmed.",
	"closed_at":           "When it was closed.",
	"closed_by":           "Who closed it; bursar: it closed by itself.",
}
