package accounting

// Advice is what to do about the kind of waste.
func (k WasteKind) Advice() string {
	switch k {
	case WasteFailed:
		return "Calls that were billed and ended in an error: look which provider fails, and let the model fall back to another."
	case WasteCancelled:
		return "The application left before the answer was complete: raise its timeout, or ask for shorter answers."
	case WasteTruncated:
		return "The answer was cut by a limit of tokens: raise max_tokens, or ask for shorter texts."
	case WasteRedrafted:
		return "Emails are written more than once: improve the prompt, or keep the first draft."
	case WasteBounced:
		return "Verify addresses before you write for them."
	case WasteUnsubscribed:
		return "Take those who unsubscribed out of the list before the next sequence is written."
	case WasteUnsent:
		return "Emails were written and never sent: write when the sending platform has room, not before."
	}
	return ""
}
