package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// spikeLock is the transaction advisory lock of the replica that looks for
// spikes. (The digits spell "spike".)
const spikeLock int64 = 0x7370696b65

// spikeWindow is how far back an hour is compared.
const spikeWindow = 14 * 24 * time.Hour

// actorSpikeBrake is who holds campaigns, in the audit log.
const actorSpikeBrake = "spike brake"

// BrakeSpikes judges the hour that holds at, of every campaign and of the spend
// without one. Each spike makes one alert and, if the rule says so, holds the
// campaign, in the same transaction; a hold that was released is not repeated
// in its hour. The spikes are returned by one replica of those that look at the
// same time, and every time that it looks.
func (s *Store) BrakeSpikes(ctx context.Context, rule accounting.SpikeRule, at time.Time) ([]accounting.Spike, error) {
	hour := at.UTC().Truncate(time.Hour)
	var spikes []accounting.Spike
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		spikes = nil
		var alone bool
		if err := tx.QueryRow(ctx, `-- name: spikes_lock
			SELECT pg_try_advisory_xact_lock($1)`, spikeLock).Scan(&alone); err != nil || !alone {
			return err
		}
		histories, err := spendHistories(ctx, tx, hour, rule)
		if err != nil {
			return fmt.Errorf("read hours: %w", err)
		}
		var alerts []accounting.Alert
		for _, h := range histories {
			spike, ok := h.Spike(rule)
			if !ok {
				continue
			}
			spikes = append(spikes, spike)
			held := ""
			if rule.Hold && spike.CampaignID != "" {
				if held, err = s.hold(ctx, tx, &spike); err != nil {
					return fmt.Errorf("hold campaign %s: %w", spike.CampaignID, err)
				}
			}
			alerts = append(alerts, spikeAlert(&spike, held))
		}
		return s.raise(ctx, tx, alerts)
	})
	if err != nil {
		return nil, fmt.Errorf("look for spikes: %w", err)
	}
	return spikes, nil
}

// spendHistories are what the campaigns spent whose hour may be a spike: only
// those that reached the least amount are looked at further, each by the index
// on campaign and hour.
func spendHistories(ctx context.Context, tx pgx.Tx, hour time.Time, rule accounting.SpikeRule) ([]accounting.SpendHistory, error) {
	since := hour.Add(-spikeWindow)
	rows, err := tx.Query(ctx, `-- name: spikes_histories
		WITH present AS (
			SELECT campaign_id, sum(cost_usd) AS spent FROM usage_hourly WHERE hour = $1 GROUP BY 1 HAVING sum(cost_usd) >= $3 AND sum(cost_usd) > 0
		)
		SELECT p.campaign_id, p.spent, greatest(f.first, $2), coalesce(b.hours, '{}')
		FROM present p
		CROSS JOIN LATERAL (SELECT min(hour) AS first FROM usage_hourly h WHERE h.campaign_id = p.campaign_id) f
		CROSS JOIN LATERAL (
			SELECT array_agg(cost) AS hours FROM (
				SELECT sum(cost_usd) AS cost FROM usage_hourly h
				WHERE h.campaign_id = p.campaign_id AND h.hour >= $2 AND h.hour < $1
				GROUP BY h.hour
			) AS sums
		) b
		ORDER BY 1`, hour, since, rule.MinUSD)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(cr pgx.CollectableRow) (accounting.SpendHistory, error) {
		h := accounting.SpendHistory{Hour: hour}
		var first time.Time
		err := cr.Scan(&h.CampaignID, &h.Spent, &first, &h.Before)
		h.Hours = int(hour.Sub(first) / time.Hour)
		return h, err
	})
}

// hold stops the campaign's calls until somebody releases it. It returns the
// stop's id; empty: it was released, and is not held again in this hour.
func (s *Store) hold(ctx context.Context, tx pgx.Tx, spike *accounting.Spike) (string, error) {
	sum := sha256.Sum256([]byte(spike.CampaignID))
	id := fmt.Sprintf("spike-%s-%s", spike.Hour.Format("20060102T15"), hex.EncodeToString(sum[:4]))
	var known bool
	if err := tx.QueryRow(ctx, `-- name: stops_held
		SELECT EXISTS (SELECT FROM guard_stops
			WHERE id = $1 OR kind = 'spike' AND campaign_id = $2 AND lifted_at IS NULL)`, id, spike.CampaignID).Scan(&known); err != nil {
		return "", err
	}
	if known { // each look at the hour would lock the version of all replicas
		return "", nil
	}
	stop, err := s.createStop(ctx, tx, accounting.Stop{
		ID: id, Kind: accounting.StopSpike, Scope: accounting.Scope{CampaignID: spike.CampaignID}, Actor: actorSpikeBrake,
		Reason: fmt.Sprintf("It spent %s USD in the hour from %s, and usually spends at most %s USD.",
			shown(spike.Spent), spike.Hour.Format("2006-01-02 15:04 UTC"), shown(spike.Limit)),
	})
	return stop.ID, err
}

// spikeAlert tells of a spike, once for each hour; held is the hold that it has
// led to, if any.
func spikeAlert(spike *accounting.Spike, held string) accounting.Alert {
	name, subject := "Campaign "+spike.CampaignID, "campaign/"+spike.CampaignID
	if spike.CampaignID == "" {
		name, subject = "What belongs to no campaign", "campaign"
	}
	at := spike.Hour.Format("2006-01-02 15:04 UTC")
	a := accounting.Alert{
		Key:  fmt.Sprintf("spike/%s/%s", spike.Hour.Format(time.RFC3339), spike.CampaignID),
		Kind: "spike", Severity: accounting.SeverityWarning, Subject: subject,
		Title: fmt.Sprintf("%s has cost %s USD within an hour", name, shown(spike.Spent)),
		Text: fmt.Sprintf("In the hour from %s it cost %s USD so far. Of the %d hours before, half cost %s USD or less; "+
			"above %s USD (the median and six median deviations of %s USD) an hour is a spike.",
			at, shown(spike.Spent), spike.Hours, shown(spike.Median), shown(spike.Limit), shown(spike.MAD)),
	}
	if held != "" {
		a.Severity = accounting.SeverityCritical
		a.Title += " and is held"
		a.Text += fmt.Sprintf(" Its calls are refused until somebody releases it: bursar resume %[1]s, or DELETE /api/guard/emergency-stop/%[1]s.", held)
	}
	a.Data, _ = json.Marshal(map[string]any{ // strings and amounts cannot fail
		"campaign_id": spike.CampaignID, "hour": spike.Hour, "spent_usd": accounting.Amount{Decimal: spike.Spent},
		"median_usd": accounting.Amount{Decimal: spike.Median}, "mad_usd": accounting.Amount{Decimal: spike.MAD},
		"limit_usd": accounting.Amount{Decimal: spike.Limit}, "hours": spike.Hours, "stop_id": nullable(held),
	})
	return a
}

// nullable is s in JSON; an empty one is null.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
