package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReportsAreSentAtSevenUTCUnlessSomebodySaysOtherwise(t *testing.T) {
	cfg, err := Load(nil, nil, t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, Reports{Weekly: true, Monthly: true, Hour: 7, Timezone: "UTC"}, cfg.Reports)
	cfg, err = Load(nil, []string{"BURSAR_REPORTS_MONTHLY=false", "BURSAR_REPORTS_HOUR=0", "BURSAR_REPORTS_TIMEZONE=Europe/Berlin"}, t.TempDir())
	require.NoError(t, err)
	zone, err := cfg.Reports.Zone()
	require.NoError(t, err)
	assert.Equal(t, "Europe/Berlin", zone.String())
	assert.False(t, cfg.Reports.Monthly)
}

func TestAnHourOrATimeZoneThatThereIsNotIsRefused(t *testing.T) {
	for env, want := range map[string]string{
		"BURSAR_REPORTS_HOUR=24":               "BURSAR_REPORTS_HOUR=\"24\" (environment) is not an hour from 0 to 23",
		"BURSAR_REPORTS_HOUR=-1":               "is negative",
		"BURSAR_REPORTS_TIMEZONE=Mars/Olympus": "is not a time zone of the IANA database such as UTC or Europe/Berlin",
		"BURSAR_REPORTS_TIMEZONE=Local":        "is not a time zone of the IANA database",
	} {
		_, err := Load(nil, []string{env}, t.TempDir())
		assert.ErrorContains(t, err, want)
	}
}

func TestTheRulesOfTheStrategyAreConfiguredWithItsThresholds(t *testing.T) {
	cfg, err := Load(nil, []string{"BURSAR_ALERTS_WASTE_PERCENT=12.5"}, t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, "50", cfg.Alerts.CampaignScore.String())
	assert.Equal(t, "12.5", cfg.Alerts.WastePercent.String())
	assert.Equal(t, "50", cfg.Alerts.CostPerMeeting.String())
}
