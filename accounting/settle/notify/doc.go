// Package notify delivers one message to one channel: Slack, Discord, Microsoft
// Teams, Telegram, email or a signed webhook, each given by one URL.
//
//	https://hooks.slack.com/services/T…/B…/…     slack://T…/B…/…
//	https://discord.com/api/webhooks/ID/TOKEN    discord://TOKEN@ID
//	https://….logic.azure.com/workflows/…        teams://….logic.azure.com/workflows/…
//	telegram://BOT-TOKEN@telegram?chat=-100123
//	smtp://user:password@mail.example:587/?from=a@example.org&to=b@example.org
//	webhook+https://SECRET@receiver.example/path
//
// docs/notifications.md describes every form.
//
// [Channel.Send] tries once. Who calls it keeps the message, tries again where
// [SendError] says that this can help, and so delivers at least once: the
// message's id is the same in every attempt, and receivers drop what they have
// seen.
//
// # What a channel can be trusted with
//
//   - A URL is a secret. No error, name or formatted value of this package
//     shows more of it than its scheme, its host, and recipients of a mail that
//     the server has refused.
//   - Send ends with its context, or after [DefaultTimeout], whatever the other
//     side does; it keeps no connection and no goroutine. What it reads of an
//     answer is bounded.
//   - Redirects are not followed, and certificates are verified. Private and
//     loopback hosts are allowed: only the operator configures URLs, and many
//     receivers are in the same network.
//   - What a message says may come from an API client (the name of a campaign).
//     It is shown as plain text everywhere: it cannot mention a channel, hide a
//     link or add a header.
//
// # Why by hand
//
// The libraries that send to many services were tried. The best kept one,
// nicholas-fedor/shoutrrr v0.13.2, takes no context, repeats calls by itself for
// up to five minutes, hides Retry-After, takes a Telegram that cannot be reached
// for a delivery, shows whole URLs in its errors, knows only the retired
// connectors of Teams, and writes mail without Message-ID or encoded subject.
// wneessen/go-mail v0.8.1 reports a mail as failed that the server has accepted
// if the connection breaks right afterwards. A JSON document by POST, and
// net/smtp, are less code than guards around that.
package notify
