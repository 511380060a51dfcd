package config

import (
	"errors"
	"time"
)

// Reports is when the reports of weeks and months are sent. They go where
// alerts go, and nowhere if there are no channels.
type Reports struct {
	Weekly   bool   `mapstructure:"weekly" default:"true" help:"send a report of each week on the Monday after it, to the channels of alerts"`
	Monthly  bool   `mapstructure:"monthly" default:"true" help:"send a report of each month on the 1st of the next, to the channels of alerts"`
	Hour     int    `mapstructure:"hour" default:"7" check:"hour" help:"hour of the day at which reports are sent, 0 to 23"`
	Timezone string `mapstructure:"timezone" default:"UTC" check:"timezone" help:"IANA name of the time zone of hour, such as Europe/Berlin; weeks and months are those of UTC"`
}

// Zone is the time zone of Hour. It is there once [Config.Validate] has passed.
func (r *Reports) Zone() (*time.Location, error) { return time.LoadLocation(r.Timezone) }

func checkHour(hour int) error {
	if hour > 23 {
		return errors.New("is not an hour from 0 to 23")
	}
	return nil
}

// checkTimezone refuses Local too, which means something else on each machine.
func checkTimezone(name string) error {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return errors.New("is not a time zone of the IANA database such as UTC or Europe/Berlin")
	}
	return nil
}
