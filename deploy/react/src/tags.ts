/** Whom a call is for. Bursar takes these out again before OpenRouter sees them. */
export interface Tags {
  campaignId?: string | undefined;
  emailId?: string | undefined;
  leadId?: string | undefined;
  sequenceId?: string | undefined;
  /** The purpose, such as "email_generation" or "follow_up"; one that is not configured is recorded as "other". */
  purpose?: Purpose | undefined;
  /** The sending platform, such as "instantly". */
  platform?: string | undefined;
  /** "high" for a lead that deserves more. */
  leadValue?: string | undefined;
  /** Anything else, at most 32 entries. */
  metadata?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** The purposes that Bursar knows without configuration, and others that yours may know. */
export type Purpose =
  | 'email_generation'
  | 'lead_personalization'
  | 'subject_line'
  | 'follow_up'
  | 'reply_handling'
  | 'research'
  | 'testing'
  | 'other'
  | (string & {});

/** The headers by which Bursar knows the tags. */
export function tagHeaders(tags: Tags): Record<string, string> {
  const headers: Record<string, string> = {};
  const set = (name: string, value: string | undefined) => {
    const clean = headerValue(value ?? '');
    if (clean !== '') headers[name] = clean;
  };
  set('X-Campaign-ID', tags.campaignId);
  set('X-Email-ID', tags.emailId);
  set('X-Lead-ID', tags.leadId);
  set('X-Sequence-ID', tags.sequenceId);
  set('X-Purpose', tags.purpose);
  set('X-Platform', tags.platform);
  set('X-Lead-Value', tags.leadValue);
  for (const [name, value] of Object.entries(tags.metadata ?? {})) {
    set(`X-Meta-${headerName(name)}`, String(value));
  }
  return headers;
}

// A name of a header may not hold everything: emailType stays, "E-Mail Art" is E-Mail-Art.
const headerName = (name: string) => name.replace(/[^\w.~-]+/g, '-');

/**
 * The value in bytes of UTF-8, one character each, which is how fetch takes
 * them. What no header may hold becomes a space: a bad tag never fails a call.
 */
function headerValue(value: string): string {
  const clean = value.replace(/\p{Cc}+/gu, ' ').trim();
  let bytes = '';
  for (const byte of new TextEncoder().encode(clean)) bytes += String.fromCharCode(byte);
  return bytes;
}
