import assert from 'node:assert/strict';

// What a server draws afresh for each answer: the values of these keys, and
// ids wherever they stand. Everything else must be equal.
const freshKeys = new Set(['created', 'created_at', 'createdat', 'completed_at', 'completedat', 'timestamp',
  'date', 'cf-ray', 'set-cookie', 'x-ratelimit-reset']);
const freshIDs = /\bgen-(?:[a-z]+-)*\d{10}-[A-Za-z0-9]{20}\b|\b(?:call|toolu)_[A-Za-z0-9]{24}\b|\b[0-9a-f]{16}-FRA\b/g;
// The same keys inside a body that a client hands out as text.
const freshInText = /("(?:created|created_at|completed_at|X-RateLimit-Reset)":\s*"?)\d+/g;
const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

// plain turns what a client returned into plain data that can be compared: the
// class of every object, its fields, the message of an error. Ids are numbered
// in the order of their appearance, so that it still shows where one id
// repeats. The address of the server that answered becomes <base>.
//
// Headers of a response must have X-Bursar-Request-Id if it came through
// Bursar, and nothing of Bursar's if it did not; they are left out then.
export function plain(value, { base, bursar }) {
  const ids = new Map();
  const above = new Set();

  function text(string) {
    return string.replaceAll(base, '<base>').replace(freshInText, '$1<fresh>').replace(freshIDs, (id) => {
      if (!ids.has(id)) ids.set(id, `<id ${ids.size + 1}>`);
      return ids.get(id);
    });
  }

  function walk(value, key = '') {
    if (value != null && freshKeys.has(key.toLowerCase())) return `<fresh ${typeof value}>`;
    if (typeof value === 'string') return text(value);
    if (typeof value === 'function') return '<function>';
    if (typeof value !== 'object' || value === null) return value;
    if (above.has(value)) return '<above>';
    above.add(value);
    try {
      return object(value);
    } finally {
      above.delete(value);
    }
  }

  function object(value) {
    if (Array.isArray(value)) return value.map((element) => walk(element));
    if (value instanceof Date) return '<date>';
    if (value instanceof Headers) return fields('Headers', Object.fromEntries(value));
    if (value instanceof Request) return '<request>';
    if ('bytesRead' in value && 'remotePort' in value) return '<socket>';
    if (value instanceof Response) return { class: 'Response', status: value.status, headers: walk(value.headers) };
    const name = value.constructor?.name ?? 'null';
    if (!(value instanceof Error)) return fields(name, value);
    const { stack, ...own } = value;
    return { message: text(value.message), name: value.name, cause: walk(value.cause), ...fields(name, own) };
  }

  function fields(name, value) {
    const out = { class: name };
    const lower = new Set(Object.keys(value).map((key) => key.toLowerCase()));
    const headers = lower.has('cf-ray');
    if (headers) ours(value);
    for (const [key, field] of Object.entries(value)) {
      if (headers && key.toLowerCase().startsWith('x-bursar-')) continue;
      out[key] = walk(field, key);
    }
    // Fresh ids have the same length, but not once they are compressed.
    if (headers && lower.has('content-encoding') && lower.has('content-length')) out['content-length'] = '<fresh string>';
    return out;
  }

  function ours(headers) {
    const found = Object.entries(headers).filter(([key]) => key.toLowerCase().startsWith('x-bursar-'));
    if (!bursar) return assert.deepEqual(found, [], 'headers of Bursar on an answer that did not come through it');
    const id = found.find(([key]) => key.toLowerCase() === 'x-bursar-request-id');
    assert.match(id?.[1] ?? '', uuid7, 'an answer through Bursar has its X-Bursar-Request-Id');
  }

  return walk(value);
}
