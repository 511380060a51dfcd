package admin

// budgetColumns describes a budget for readers of the API.
var budgetColumns = map[string]string{
	"id":                    "Name of the budget in addresses, refusals and metrics; made from name unless it was given.",
	"name":                  "Name for people.",
	"scope":                 "Calls that have all of these count; empty: every call.",
	"each":                  "Every value of this tag has the limit to itself, and calls without the tag are outside; empty: all calls share it.",
	"period":                "How long the limit lasts: a day, an ISO week (from Monday), a month, or for ever (total).",
	"timezone":              "IANA name of the time zone in which days, weeks and months begin.",
	"starts_at":             "Calls that started earlier are outside.",
	"ends_at":               "Calls that start then or later are outside.",
	"limit":                 "What calls may cost in a period, in currency.",
	"currency":              "Of every amount of the budget. EUR is charged at the rate that was stored with each call.",
	"mode":                  "alert: never refuses. soft: acts once settled spend has reached the limit; essential calls pass. hard: reserves the worst case of every call before it is sent, so that settled spend never passes the limit.",
	"thresholds":            "Percent of the limit at which an alert is made.",
	"enabled":               "false: the budget counts, but neither acts nor alerts.",
	"on_exceed":             "What soft and hard budgets do with a call that does not fit: block (402), downgrade to another model if that one fits, or warn (soft only).",
	"downgrade_to":          "The model of on_exceed downgrade.",
	"essential_purposes":    "Purposes that a soft budget never refuses and for which a hard one keeps essential_share. A call without a purpose is essential.",
	"nonessential_purposes": "The same from the other side: every purpose but these is essential. It holds where essential_purposes is empty; both empty: only calls without a purpose are essential.",
	"essential_share":       "Of the limit of a hard budget, 0 to 1: what only essential calls may use.",
	"bound":                 "Of a hard budget. computed: the worst case comes from prices and request. provider: Bursar also adds provider.max_price, and max_tokens where absent, so that OpenRouter enforces it.",
	"counts_from":           "Calls that started earlier are not counted: the start of the period in which the budget was made.",
	"origin":                "Where it comes from: api, config or plan.",
	"created_at":            "When it was made.",
	"updated_at":            "When it was last changed.",
}

var scopeColumns = map[string]string{
	"campaign_id": "Calls of this campaign, as sent in X-Campaign-ID.",
	"purpose":     "Calls for this purpose.",
	"platform":    "Calls of this platform, as sent in X-Platform.",
	"model":       "Calls that ask for this model, among their fallbacks too, or are answered by it.",
	"key":         "Calls paid with this OpenRouter key: hex SHA-256 of the key.",
}

var budgetStatusColumns = map[string]string{
	"budget":       "The budget.",
	"each_value":   "Value of the budget's tag; empty: it is not divided.",
	"period_start": "Start of the present period.",
	"resets_at":    "End of the present period; null: it never ends.",
	"limit":        "What calls may cost in the period.",
	"settled":      "Exact costs that are recorded.",
	"reserved":     "Held for calls whose cost is not known yet.",
	"estimated":    "By the price list, of calls unsettled for an hour; no part of settled.",
	"leased":       "In the hands of replicas: unspent there, or reserved for calls in flight.",
	"overshoot":    "Settled and reserved beyond the limit: OpenRouter billed more than was reserved, or the budget is not hard. Not counted: what was spent already when the limit was lowered.",
	"remaining":    "Limit less settled and reserved; never below 0.",
	"percent":      "Settled and estimated, in percent of the limit; null: the limit is 0.",
	"burn_rate":    "Settled an hour, over the last 24 hours of the period; null: it has run too short.",
	"runs_out_at":  "When the limit is reached at that rate; null: not within the period.",
	"state":        "ok, warning (a threshold is passed), exceeded, disabled or ended.",
}

// stopColumns describes an emergency stop or a hold.
var stopColumns = map[string]string{
	"id":          "Name of the stop.",
	"kind":        "emergency: somebody gave it. spike: the spike brake holds a campaign.",
	"scope":       "Calls that have all of these are blocked; empty: every call.",
	"reason":      "Why, in the words of whoever gave it.",
	"actor":       "Who gave it.",
	"cut_streams": "Calls in flight were cut as well.",
	"drill":       "It blocks nothing: its reach is measured.",
	"created_at":  "When it was given.",
	"lifted_at":   "When it was lifted; null: it is active.",
	"lifted_by":   "Who lifted it.",
	"reach":       "Each living replica's part, as far as the database knows.",
}

var stopReachColumns = map[string]string{
	"replica":       "The replica: one life of one process.",
	"seen_at":       "When it was last heard of.",
	"acked_at":      "When it obeyed; null: not yet.",
	"after_seconds": "How long after the stop was given it obeyed; null: not yet.",
}

// decisionColumns describes the columns of budget_decisions.
var decisionColumns = map[string]string{
	"id":              "The call, as in X-Bursar-Request-ID; of merged refusals the first one.",
	"created_at":      "Start of the call.",
	"verdict":         "What became of the call, as in X-Bursar-Verdict: allowed, warned, downgraded or blocked.",
	"reason":          "Why; null if it was plainly allowed.",
	"field":           "Of no_bound the field of the body that has no bound, of tag_required the header that is missing.",
	"detail":          "The reason as the caller was told.",
	"campaign_id":     "From X-Campaign-ID.",
	"email_id":        "From X-Email-ID.",
	"lead_id":         "From X-Lead-ID.",
	"purpose":         "From X-Purpose; null counts as essential.",
	"platform":        "From X-Platform.",
	"key_fingerprint": "Hex SHA-256 of the OpenRouter key that would pay.",
	"endpoint":        "Path of the request, without its query.",
	"model":           "The model that was asked for.",
	"downgraded_to":   "The model that it was sent with instead.",
	"bound_usd":       "The most that the call could cost, in USD; null: not computed, or unbounded.",
	"bound_by":        "Who saw to that: computed or provider.",
	"replica":         "The replica that decided.",
	"usd_to_eur":      "EUR for one USD at which budgets in EUR were charged.",
	"stop_id":         "The emergency stop or hold that blocked it.",
	"experiment_id":   "The enforced experiment that it belongs to.",
	"arm":             "The arm that its lead is in.",
	"arm_model":       "The model that this arm put in place of the one that was asked for; downgraded_to overrides it.",
	"budgets":         "Every budget that applied, as it stood then, the one that decided first.",
	"count":           "Calls in this decision: refusals like each other within one second are one row.",
	"calls":           "Ids of the others, at most 100.",
}

var decisionShareColumns = map[string]string{
	"budget_id":    "The budget.",
	"each_value":   "Value of the budget's tag; empty: it is not divided.",
	"period_start": "Start of the period that the call is charged to.",
	"verdict":      "What this budget alone would have done.",
	"reason":       "Why.",
	"limit":        "What calls may cost in the period, in the budget's currency.",
	"settled":      "Exact costs, as the replica knew them.",
	"reserved":     "By calls in flight, as the replica knew them, without this one.",
	"charge":       "What was reserved for this call; 0: nothing, the budget is not hard or the call can cost nothing.",
}

// alertColumns describes an alert.
var alertColumns = map[string]string{
	"id":              "Number of the alert; later ones are higher.",
	"key":             "What makes it one and the same, over all replicas.",
	"kind":            "What it is about, e.g. budget_threshold, budget_blocked, budget_overshoot, month_cost, spike, test.",
	"severity":        "info, warning or critical.",
	"subject":         "About what, as the audit log names it, e.g. budget/monthly-ai.",
	"title":           "In one line.",
	"text":            "In words.",
	"data":            "The figures behind it.",
	"created_at":      "When it was made, with what caused it.",
	"acknowledged_at": "When somebody said that they had seen it; null: nobody has.",
	"acknowledged_by": "Who.",
	"deliveries":      "Its way to each channel that is configured.",
}

var deliveryColumns = map[string]string{
	"channel":      "The channel, without its secrets, e.g. slack-1a2b3c4d.",
	"state":        "pending, delivered, or failed (given up).",
	"attempts":     "How often it was tried.",
	"next_at":      "When it is tried next; null: it is not.",
	"delivered_at": "When the channel took it.",
	"error":        "What the last attempt met; null: nothing.",
}

var leaseColumns = map[string]string{
	"replica":      "The replica: one life of one process.",
	"budget_id":    "The budget.",
	"each_value":   "Value of the budget's tag; empty: it is not divided.",
	"period_start": "Start of the period of which it is.",
	"currency":     "Of the amount.",
	"held":         "Unspent, or reserved for calls that are not recorded yet.",
	"updated_at":   "When it last changed.",
	"seen_at":      "When the replica was last heard of; null: never.",
	"ended_at":     "When it stopped, or its journal was settled; null: neither.",
	"alive":        "It was heard of within the last seconds.",
}
