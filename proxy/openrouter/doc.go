// Package openrouter is the only code that knows OpenRouter's wire format.
//
//   - [Classify] says what a request is: billable, a poll of a job, or free.
//   - [Meter] watches a response pass and reads from it what the call cost, in
//     memory that does not depend on the body's size.
//   - [Client] asks OpenRouter for its own record of a generation.
//
// How a response is read:
//
//	bytes ──► decoder (a copy, if compressed) ──► events (if text/event-stream) ──► scanner ──► Reading
//
// The scanner never builds a document. It walks the few paths that matter
// (usage, id, model, error …) and skips everything else, so text inside a
// completion that looks like a usage object is only text, whatever the order
// of the keys and wherever the network cuts the bytes.
package openrouter
