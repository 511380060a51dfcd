package admin

import "bursar/accounting"

// usageColumns describes the columns of openrouter_usage for readers of the
// API.
var usageColumns = map[string]string{
	"id":            "Bursar's name for the call, as in X-Bursar-Request-ID.",
	"generation_id": "OpenRouter's name for the generation.",
	"campaign_id":   "From X-Campaign-ID.",
	"email_id":      "From X-Email-ID.",
	"lead_id":       "From X-Lead-ID.",
	"sequence_id":   "From X-Sequence-ID.",
	"platform":      "From X-Platform.",
	"lead_value":    "From X-Lead-Value.",
	"purpose":       "From X-Purpose; null counts as essential.",
	"metadata":      "From the X-Meta- headers, and what had to be cut or replaced.",

	"model":           "The model that served the call.",
	"requested_model": "The model that was asked for.",
	"provider":        "The provider that served the call.",
	"endpoint":        "Path of the request, without its query.",
	"status":          "Where the accounting of the call stands.",
	"http_status":     "Status of OpenRouter's answer; null when none came.",
	"finish_reason":   "Why the generation ended.",

	"prompt_tokens":      "Tokens of the prompt, as OpenRouter counts them.",
	"completion_tokens":  "Tokens of the completion, as OpenRouter counts them.",
	"total_tokens":       "As OpenRouter sent it, never recomputed.",
	"cached_tokens":      "Prompt tokens read from the provider's cache.",
	"cache_write_tokens": "Prompt tokens written to the provider's cache.",
	"reasoning_tokens":   "Tokens of reasoning; may exceed completion_tokens.",

	"is_byok":                     "The provider was paid with the customer's own provider key.",
	"cost_usd":                    "What OpenRouter charged for the call, exact, in USD.",
	"inline_cost_usd":             "The charge as the response itself said, in USD.",
	"generation_cost_usd":         "The charge as OpenRouter's own record says, in USD.",
	"upstream_inference_cost_usd": "What the provider charged, in USD; adds to cost_usd only where is_byok is true.",
	"estimated_cost_usd":          "By the price list, in USD, for a call still unsettled; never part of cost_usd.",
	"cost_source":                 "Where cost_usd comes from: inline or generation.",
	"verified_at":                 "When OpenRouter's own record confirmed cost_usd.",

	"settle_error":           "Why the last lookup of the cost brought none.",
	"job_id":                 "Name of the asynchronous job that the call started.",
	"key_fingerprint":        "Hex SHA-256 of the OpenRouter key that paid.",
	"duration_ms":            "From the request's arrival to the end of its answer, in milliseconds.",
	"time_to_first_token_ms": "From the request's arrival to the first byte of content, in milliseconds.",
	"streamed":               "The answer came as server-sent events.",
	"cancelled":              "The client left before the answer was complete.",
	"error":                  "Code or type of the error, never its message.",
	"created_at":             "Start of the call.",
	"updated_at":             "Last change of this row.",
}

// statusMeaning explains a state to people.
type statusMeaning struct {
	Name    accounting.Status
	Meaning string
}

// statuses are all states of a row, in the order in which they are explained.
var statuses = []statusMeaning{
	{accounting.StatusSettled, "The cost is known. A tick says that OpenRouter's own record has confirmed it."},
	{accounting.StatusPending, "The generation came about; its exact cost is being asked for."},
	{accounting.StatusAwaitingKey, "As pending, but the key that made the call is not held here. It goes on with that key's next call."},
	{accounting.StatusUnresolved, "OpenRouter has not said what it cost within the time allowed. Somebody has to look."},
	{accounting.StatusInterrupted, "The connection or Bursar broke before the generation's id was known. Somebody has to look."},
	{accounting.StatusFailed, "Answered with an error. No generation, nothing billed."},
	{accounting.StatusDismissed, "Somebody has looked and found that it was not billed."},
}
