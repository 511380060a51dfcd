// Package webhook takes in what sending platforms report: an email was sent, a
// reply came, a meeting was booked. It has a listener of its own, so that the
// admin port need not be public.
//
//	POST /webhooks/{instantly|heyreach|generic}
//	   │  the shared secret, or the body's HMAC      handler.go
//	   │  a bounded JSON object
//	   ▼
//	Mapping: JSON paths to fields, event names to activity types   mapping.go
//	   ▼
//	one accounting.CampaignActivity, recorded once
//
// Payloads hold names and addresses of people: nothing of them is logged or
// repeated in an answer.
package webhook
