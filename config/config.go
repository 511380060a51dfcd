package config

import (
	"time"

	"github.com/shopspring/decimal"
)

// Config is every setting of Bursar. [Load] makes one; its zero value is not
// valid.
//
// Tags: mapstructure is the name in YAML, default is the value as a user would
// write it, alias is a second environment variable, allowed lists the only
// values, range "positive" refuses zero (negative numbers are always refused),
// help is what every generated text says.
type Config struct {
	Proxy     Proxy     `mapstructure:"proxy" help:"The data port: what applications use as their OPENROUTER_BASE_URL."`
	Admin     Admin     `mapstructure:"admin" help:"The admin port: API, health and metrics."`
	Upstream  Upstream  `mapstructure:"upstream" help:"OpenRouter."`
	Database  Database  `mapstructure:"database" help:"The Postgres that holds every call."`
	Data      Data      `mapstructure:"data" help:"Local files."`
	Journal   Journal   `mapstructure:"journal" help:"The durable local journal, which holds calls until Postgres has them."`
	Shipper   Shipper   `mapstructure:"shipper" help:"The way from the journal to Postgres."`
	Settle    Settle    `mapstructure:"settle" help:"Costs that the response did not hold, and their verification."`
	Reconcile Reconcile `mapstructure:"reconcile" help:"Days and months against OpenRouter's own figures."`
	Budgets   Budgets   `mapstructure:"budgets" help:"Limits on what calls may cost. Budgets themselves are made on the admin port."`
	Alerts    Alerts    `mapstructure:"alerts" help:"Where alerts go, and what the built-in rules alert for."`
	Reports   Reports   `mapstructure:"reports" help:"Reports of weeks and months, to the channels of alerts."`
	Spike     Spike     `mapstructure:"spike" help:"The brake on campaigns that suddenly spend far more than they use to."`
	Tags      Tags      `mapstructure:"tags" help:"The headers that say whom a call was for."`
	Metrics   Metrics   `mapstructure:"metrics" help:"Prometheus."`
	Secrets   Secrets   `mapstructure:"secrets" help:"Sealing of keys at rest."`
	Economics Economics `mapstructure:"economics" help:"Fixed costs and targets of the campaigns."`
	Rates     Rates     `mapstructure:"rates" help:"Exchange rates by day."`
	Webhooks  Webhooks  `mapstructure:"webhooks" help:"What sending platforms report."`
	App       App       `mapstructure:"app" help:"The application beside Bursar."`
	Debug     Debug     `mapstructure:"debug" help:"Debugging, still without prompts or keys."`
	Log       Log       `mapstructure:"log" help:"Logging to standard error."`
}

// Proxy is the data port.
type Proxy struct {
	Addr               string        `mapstructure:"addr" default:"127.0.0.1:8080" check:"address" help:"address of the data port, host:port"`
	ClientTokens       []Secret      `mapstructure:"client_tokens" help:"tokens of which clients send one as Bearer or x-api-key; empty: none is asked for"`
	TLSCertFile        string        `mapstructure:"tls_cert_file" help:"PEM certificate chain of the data port; empty: plain HTTP"`
	TLSKeyFile         string        `mapstructure:"tls_key_file" help:"PEM private key of tls_cert_file"`
	Disconnect         string        `mapstructure:"disconnect" default:"grace" allowed:"grace,drain" help:"when a client leaves: cut the upstream after disconnect_grace, or drain its answer to the end"`
	DisconnectGrace    time.Duration `mapstructure:"disconnect_grace" default:"1s" help:"how long the answer of a client that left is still read for its usage"`
	IdentifyTimeout    time.Duration `mapstructure:"identify_timeout" default:"3s" range:"positive" help:"how long the headers that name a generation are still awaited after its client left"`
	DrainTimeout       time.Duration `mapstructure:"drain_timeout" default:"10m" range:"positive" help:"the longest that drain reads on after a client left"`
	ClientStallTimeout time.Duration `mapstructure:"client_stall_timeout" default:"60s" range:"positive" help:"a client that neither reads nor sends for this long while it is its turn is cut"`
	ReadHeaderTimeout  time.Duration `mapstructure:"read_header_timeout" default:"10s" range:"positive" help:"the longest a client may take to send its request headers"`
	IdleTimeout        time.Duration `mapstructure:"idle_timeout" default:"2m" range:"positive" help:"how long an unused client connection is kept"`
	ShutdownTimeout    time.Duration `mapstructure:"shutdown_timeout" default:"30s" range:"positive" help:"how long calls in flight may finish when Bursar stops"`
	UpgradeTimeout     time.Duration `mapstructure:"upgrade_timeout" default:"30s" range:"positive" help:"how long the new process of an upgrade may take until it can serve; then the old one goes on"`
	UpgradeLinger      time.Duration `mapstructure:"upgrade_linger" default:"10m" range:"positive" help:"how long a process that an upgrade replaced may still finish calls and wait for connections to end"`
}

// Admin is the admin port.
type Admin struct {
	Addr  string `mapstructure:"addr" default:"127.0.0.1:8081" check:"address" help:"address of the admin port, host:port"`
	Token Secret `mapstructure:"token" help:"Bearer token of the admin API and metrics; needed when the address is not loopback"`
}

// Upstream is OpenRouter and the keys it is called with.
type Upstream struct {
	URL                   string        `mapstructure:"url" default:"https://openrouter.ai" check:"upstream" help:"where to forward; never read from OPENROUTER_BASE_URL, which applications point at Bursar"`
	APIKey                Secret        `mapstructure:"api_key" alias:"OPENROUTER_API_KEY" help:"key set on every call; empty: the client's own key passes through"`
	ManagementKey         Secret        `mapstructure:"management_key" alias:"OPENROUTER_MANAGEMENT_KEY" help:"key for /activity, /credits and /analytics, which an inference key may not read"`
	DialTimeout           time.Duration `mapstructure:"dial_timeout" default:"10s" range:"positive" help:"the longest a connection to OpenRouter may take to open"`
	ResponseHeaderTimeout time.Duration `mapstructure:"response_header_timeout" default:"10m" range:"positive" help:"the longest OpenRouter may take from the request's end to the response headers"`
	CAFile                string        `mapstructure:"ca_file" help:"PEM certificates to trust upstream besides the system's"`
}

// Database is where Postgres is.
type Database struct {
	URL      Secret `mapstructure:"url" alias:"DATABASE_URL" check:"postgres" help:"postgres:// URL or connection string; empty: a private Postgres under data.dir"`
	MaxConns int    `mapstructure:"max_conns" default:"10" range:"positive" help:"connections of the pool"`
}

// Data is where local files are.
type Data struct {
	Dir string `mapstructure:"dir" default:"./data" check:"nonempty" help:"directory of the journal and of the private Postgres; must survive restarts"`
}

// Journal is the durable local journal.
type Journal struct {
	Sync         string        `mapstructure:"sync" default:"background" allowed:"background,wait" help:"wait: every call waits for its fsync; background: it follows within sync_interval"`
	SyncInterval time.Duration `mapstructure:"sync_interval" default:"50ms" range:"positive" help:"how often written events are synced to the disk"`
	SegmentBytes ByteSize      `mapstructure:"segment_bytes" default:"8MiB" range:"positive" help:"size at which a journal file is closed and the next begun"`
	MaxBytes     ByteSize      `mapstructure:"max_bytes" default:"4GiB" range:"positive" help:"the most the journal may hold while Postgres is away"`
	WhenFull     string        `mapstructure:"when_full" default:"commit" allowed:"commit,refuse,pass" help:"a new call that the journal does not take: commit waits for its row in Postgres, and without one goes on and is counted; refuse waits likewise, and without one answers 503; pass goes on at once, its events wait in memory"`
	WhenFullWait time.Duration `mapstructure:"when_full_wait" default:"2s" range:"positive" help:"the longest that such a call waits for its row"`
	AdoptEvery   time.Duration `mapstructure:"adopt_every" default:"2s" range:"positive" help:"how often to look for journals of dead processes beside this one"`
}

// Shipper is the way from the journal to Postgres.
type Shipper struct {
	BatchSize     int           `mapstructure:"batch_size" default:"1000" range:"positive" help:"the most events in one transaction"`
	FlushInterval time.Duration `mapstructure:"flush_interval" default:"500ms" range:"positive" help:"between two transactions of a busy proxy; a single call is written at once"`
}

// Settle is the settlement of calls through GET /generation.
type Settle struct {
	Enabled       bool          `mapstructure:"enabled" default:"true" help:"look up costs that the response did not hold"`
	Verify        bool          `mapstructure:"verify" default:"true" help:"confirm costs from the response against OpenRouter's own record"`
	VerifyRate    float64       `mapstructure:"verify_rate" default:"10" range:"positive" help:"confirmations per second and key"`
	VerifyDelay   time.Duration `mapstructure:"verify_delay" default:"8s" help:"how long after a call its confirmation is first asked for"`
	VerifyMaxAge  time.Duration `mapstructure:"verify_max_age" default:"24h" range:"positive" help:"calls older than this are left unverified"`
	FirstLookup   time.Duration `mapstructure:"first_lookup" default:"1s" help:"how long after a call its missing cost is first asked for"`
	LookupTimeout time.Duration `mapstructure:"lookup_timeout" default:"10s" range:"positive" help:"the longest one lookup may take"`
	MaxBackoff    time.Duration `mapstructure:"max_backoff" default:"1h" range:"positive" help:"the longest pause between two lookups of one call"`
	GiveUpAfter   time.Duration `mapstructure:"give_up_after" default:"168h" range:"positive" help:"a call not published for this long is left to the operator as unresolved"`
	Workers       int           `mapstructure:"workers" default:"8" range:"positive" help:"lookups at the same time"`
	EstimateAfter time.Duration `mapstructure:"estimate_after" default:"1h" range:"positive" help:"a call whose cost is still not known after this long gets an estimate, which budgets count until the cost is known"`
}

// Reconcile is the comparison of days with OpenRouter's own figures, and the
// closing of months.
type Reconcile struct {
	Enabled        bool            `mapstructure:"enabled" default:"true" help:"sample /key and /credits, and compare each day with them and with /activity"`
	Tolerance      decimal.Decimal `mapstructure:"tolerance" default:"0.1" help:"share of OpenRouter's figure, 0.1 for 10 %, above which a difference is an alert; any difference is shown"`
	SampleInterval time.Duration   `mapstructure:"sample_interval" default:"10m" range:"positive" check:"divides_day" help:"how often the running figures of /key and /credits are noted; has to divide a day, so that midnight UTC is met"`
	MaxKeys        int             `mapstructure:"max_keys" default:"100" help:"keys that are sampled, and compared by themselves on one day; 0: only the account"`
	After          time.Duration   `mapstructure:"after" default:"40m" range:"positive" help:"how long after midnight UTC a day is compared; OpenRouter needs 30 minutes to complete it"`
	CloseDay       int             `mapstructure:"close_day" default:"5" check:"close_day" help:"day on which the month before closes by itself if nothing of it is unverified; 0: months close by hand only"`
}

// Budgets is how calls are held to their budgets. See [Config.MonthlyAI].
type Budgets struct {
	MonthlyAI       string        `mapstructure:"monthly_ai" check:"amount" help:"EUR a month of the budget monthly-ai, which exists from the first start; empty: economics.cost_alert_threshold less the fixed costs"`
	GrantWait       time.Duration `mapstructure:"grant_wait" default:"200ms" range:"positive" help:"the longest that a call of a hard budget waits for the database to grant money; then it is refused"`
	InspectBytes    ByteSize      `mapstructure:"inspect_bytes" default:"8MiB" range:"positive" help:"the largest request body that is read for what the call may cost; hard budgets refuse larger ones"`
	RefreshInterval time.Duration `mapstructure:"refresh_interval" default:"1s" range:"positive" help:"how often the spent amounts of budgets in use are read from the database"`
	LeaseIdle       time.Duration `mapstructure:"lease_idle" default:"5s" range:"positive" help:"after which a replica gives money of a hard budget back that it does not use"`
	MaxCached       int           `mapstructure:"max_cached" default:"100000" range:"positive" help:"counters in memory of budgets that are divided by lead, email or campaign"`
	KeyLabels       []string      `mapstructure:"key_labels" check:"key_labels" help:"names for OpenRouter keys in the scope of budgets, each as label=fingerprint; the fingerprint is the key's hex SHA-256"`

	PlanAuto  bool            `mapstructure:"plan_auto" default:"false" help:"split the AI budget over campaigns anew on the first of each month; false: only when somebody asks for it"`
	PlanSplit string          `mapstructure:"plan_split" default:"50/35/15" check:"plan_split" help:"percent of the AI budget for campaigns of high ROI, for the others, and for tests; they add up to 100"`
	PlanStep  decimal.Decimal `mapstructure:"plan_step" default:"20" check:"plan_step" help:"percent by which a plan may move the limit of a campaign in a day, 1 to 1000"`
	PlanMode  string          `mapstructure:"plan_mode" default:"soft" allowed:"alert,soft,hard" help:"mode of the budgets of a plan that does not say another"`
}

// Tags is how strictly tag headers are read.
type Tags struct {
	Strict   bool     `mapstructure:"strict" default:"false" help:"answer a bad tag with 400; false: record it as far as it can be read"`
	Purposes []string `mapstructure:"purposes" check:"purposes" help:"purposes besides the eight that always exist"`
	Required []string `mapstructure:"required" check:"divisors" help:"lead_id, email_id, campaign_id: a call without such a tag is refused by the budgets that are divided by it; otherwise it is outside of them"`
}

// Metrics bounds what Prometheus is given.
type Metrics struct {
	MaxLabelValues int `mapstructure:"max_label_values" default:"100" range:"positive" help:"distinct values of one label; the rest count under other"`
}

// Secrets is what seals keys at rest. See [Secrets.SealingKey].
type Secrets struct {
	Key Secret `mapstructure:"key" check:"key32" help:"32 bytes in base64 that seal the keys of unsettled calls; empty: keys are kept in memory only"`
}

// Economics is what the campaigns cost besides their AI calls.
type Economics struct {
	InstantlyCost      decimal.Decimal `mapstructure:"instantly_cost" alias:"MONTHLY_INSTANTLY_COST" default:"75" help:"fixed cost of Instantly, EUR a month"`
	WorkspaceCost      decimal.Decimal `mapstructure:"workspace_cost" alias:"MONTHLY_WORKSPACE_COST" default:"48" help:"fixed cost of Google Workspace, EUR a month"`
	CostAlertThreshold decimal.Decimal `mapstructure:"cost_alert_threshold" alias:"COST_ALERT_THRESHOLD" default:"200" help:"EUR a month, fixed and variable together, above which an alert is raised"`
	USDToEURRate       decimal.Decimal `mapstructure:"usd_to_eur_rate" alias:"USD_TO_EUR_RATE" default:"0.92" range:"positive" help:"EUR for one USD until a dated rate exists"`
	MeetingValue       string          `mapstructure:"meeting_value" check:"amount" help:"what a meeting is worth that does not tell itself, and whose campaign does not, EUR; empty: unknown, and so is the ROI"`
	UnsentAfterDays    int             `mapstructure:"unsent_after_days" default:"14" range:"positive" help:"days after which the AI cost of a lead that nothing was sent to counts as waste"`
	MinLeads           int             `mapstructure:"min_leads" default:"30" range:"positive" help:"processed leads below which a campaign gets a score but no verdict"`

	ModelPremium    string `mapstructure:"model_premium" default:"anthropic/claude-opus-4.6" help:"model that a plan suggests for campaigns of the premium tier; empty: none"`
	ModelStandard   string `mapstructure:"model_standard" default:"anthropic/claude-sonnet-4.6" help:"model that a plan suggests for campaigns of the standard tier; empty: none"`
	ModelEfficiency string `mapstructure:"model_efficiency" default:"anthropic/claude-haiku-4.5" help:"model that a plan suggests for campaigns of the efficiency tier, and for those without a verdict; empty: none"`

	DashboardCostPerEmail   decimal.Decimal `mapstructure:"dashboard_cost_per_email" default:"0.1" range:"positive" help:"target of the dashboard's score, EUR"`
	DashboardCostPerMeeting decimal.Decimal `mapstructure:"dashboard_cost_per_meeting" default:"5" range:"positive" help:"target of the dashboard's score, EUR"`
	TargetCostPerEmail      decimal.Decimal `mapstructure:"target_cost_per_email" default:"0.15" range:"positive" help:"target of the KPIs, EUR"`
	TargetCostPerMeeting    decimal.Decimal `mapstructure:"target_cost_per_meeting" default:"25" range:"positive" help:"target of the KPIs and of a campaign's score, EUR"`
	TargetROI               decimal.Decimal `mapstructure:"target_roi" default:"5" range:"positive" help:"target of value ÷ AI cost, 5 for 500 %"`
	TargetWaste             decimal.Decimal `mapstructure:"target_waste" default:"0.1" range:"positive" check:"share" help:"share of the AI cost that may go to leads never sent"`
	TargetSendRate          decimal.Decimal `mapstructure:"target_send_rate" default:"0.85" range:"positive" check:"share" help:"target of sent ÷ processed leads"`
	TargetConversion        decimal.Decimal `mapstructure:"target_conversion" default:"0.05" range:"positive" check:"share" help:"target of meetings ÷ emails sent: what is 100 in a campaign's score, and above which one invests more in it"`
	TargetBudgetUseLow      decimal.Decimal `mapstructure:"target_budget_use_low" default:"0.9" check:"share" help:"share of the month's AI budget that should be used, at least"`
	TargetBudgetUseHigh     decimal.Decimal `mapstructure:"target_budget_use_high" default:"0.95" check:"share" help:"share of the month's AI budget that should be used, at most"`
	TargetForecastAccuracy  decimal.Decimal `mapstructure:"target_forecast_accuracy" default:"0.95" check:"share" help:"target of the accuracy of forecasts of the month's end"`

	ScoreWeightSendRate   int             `mapstructure:"score_weight_send_rate" default:"40" check:"percent" help:"weight of the send rate in a campaign's score, percent; the three add up to 100"`
	ScoreWeightConversion int             `mapstructure:"score_weight_conversion" default:"35" check:"percent" help:"weight of the conversion, percent"`
	ScoreWeightCost       int             `mapstructure:"score_weight_cost" default:"25" check:"percent" help:"weight of the cost per meeting, percent"`
	BandExcellent         decimal.Decimal `mapstructure:"band_excellent" default:"90" help:"score from which on a campaign is excellent"`
	BandGood              decimal.Decimal `mapstructure:"band_good" default:"70" help:"score from which on a campaign is good"`
	BandFair              decimal.Decimal `mapstructure:"band_fair" default:"50" help:"score from which on a campaign is fair; below it is poor"`
	TierPremium           decimal.Decimal `mapstructure:"tier_premium" default:"0.9" check:"share" help:"send rate above which a campaign with the target's conversion deserves the premium models"`
	TierStandard          decimal.Decimal `mapstructure:"tier_standard" default:"0.7" check:"share" help:"send rate from which on it deserves the standard ones"`
	TierEfficiency        decimal.Decimal `mapstructure:"tier_efficiency" default:"0.5" check:"share" help:"send rate from which on it deserves the efficient ones; below, none"`
	InvestSendRate        decimal.Decimal `mapstructure:"invest_send_rate" default:"0.8" check:"share" help:"send rate above which the conversion decides about a campaign"`
	ReduceSendRate        decimal.Decimal `mapstructure:"reduce_send_rate" default:"0.5" check:"share" help:"send rate below which AI should be reduced"`
}

// App is the application beside Bursar.
type App struct {
	URL string `mapstructure:"url" alias:"APP_URL" check:"url" help:"browser origin that may use the admin API, and the target of links in notifications"`
}

// Debug turns on more detail.
type Debug struct {
	CostTracking bool `mapstructure:"cost_tracking" alias:"DEBUG_COST_TRACKING" default:"false" help:"log the accounting of every call"`
}

// Log is how and how much is logged.
type Log struct {
	Level  string `mapstructure:"level" default:"info" allowed:"trace,debug,info,warn,error" help:"the least level that is logged"`
	Format string `mapstructure:"format" default:"auto" allowed:"auto,json,console" help:"auto: console on a terminal, else json"`
}
