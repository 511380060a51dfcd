package config

import (
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Alerts is where alerts go. See [Alerts.Channels].
type Alerts struct {
	URLs        []Secret      `mapstructure:"urls" help:"channels that every alert is sent to, one URL each: Slack, Discord, Microsoft Teams, Telegram, email, webhook; docs/notifications.md has all forms"`
	MinSeverity string        `mapstructure:"min_severity" default:"info" allowed:"info,warning,critical" help:"the least severity that is sent; alerts below it are only listed"`
	Timeout     time.Duration `mapstructure:"timeout" default:"30s" range:"positive" help:"the longest that one attempt to deliver an alert may take"`
	GiveUpAfter time.Duration `mapstructure:"give_up_after" default:"24h" range:"positive" help:"an alert that a channel does not take for this long is given up there"`

	CampaignScore  decimal.Decimal `mapstructure:"campaign_score" default:"50" help:"alert for a campaign whose score of the month is below this; 0: no alert"`
	WastePercent   decimal.Decimal `mapstructure:"waste_percent" default:"30" help:"alert when more of the month's AI cost than this went to leads never sent, percent; 0: no alert"`
	CostPerMeeting decimal.Decimal `mapstructure:"cost_per_meeting" default:"50" help:"alert when a meeting of the month costs more than this, EUR; 0: no alert"`
	RulesInterval  time.Duration   `mapstructure:"rules_interval" default:"5m" range:"positive" help:"how often these figures, and those of rules made on the admin port, are looked at, by one replica"`
}

// Spike is the brake on campaigns that suddenly spend far more than they use to.
type Spike struct {
	Action   string          `mapstructure:"action" default:"alert" allowed:"alert,hold,off" help:"when an hour of a campaign costs more than median + 6 MAD of its hours of 14 days: alert, or also hold the campaign until somebody releases it"`
	MinUSD   decimal.Decimal `mapstructure:"min_usd" default:"1" help:"USD; an hour that costs less is never a spike"`
	Interval time.Duration   `mapstructure:"interval" default:"1m" range:"positive" help:"how often campaigns are looked at"`
	MinHours int             `mapstructure:"min_hours" default:"24" range:"positive" help:"hours since a campaign's first call from which on it is judged"`
}

// Channels are the URLs of the channels. An item without a scheme belongs to
// the one before: the list of recipients in a mail's URL has commas too.
func (a *Alerts) Channels() []Secret {
	var channels []Secret
	for _, url := range a.URLs {
		if n := len(channels); n > 0 && !strings.Contains(url.Reveal(), "://") {
			channels[n-1] = NewSecret(channels[n-1].Reveal() + "," + url.Reveal())
			continue
		}
		channels = append(channels, url)
	}
	return channels
}
