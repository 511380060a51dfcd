import assert from 'node:assert/strict';
import test from 'node:test';

import { plain } from './plain.mjs';

// Two fake OpenRouters of the same seed: one is called directly, the other
// stands behind Bursar.
const direct = variable('DIRECT_URL');
const bursar = variable('PROXY_URL');

function variable(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these tests are run by "go test ./cmd/bursar -run Client"`);
  return value;
}

// The tags that clients send through Bursar; clients_test.go expects them in
// the rows, and never at OpenRouter.
function tagHeaders(client, name) {
  return {
    'X-Campaign-ID': client, 'X-Email-ID': name, 'X-Lead-ID': 'lead-7', 'X-Sequence-ID': 'sequence-2',
    'X-Purpose': 'follow_up', 'X-Platform': 'instantly', 'X-Lead-Value': 'high', 'X-Meta-Suite': 'clients',
  };
}

function tagPath(client, name) {
  const tags = { campaign: client, email: name, lead: 'lead-7', sequence: 'sequence-2',
    purpose: 'follow_up', platform: 'instantly', lead_value: 'high', suite: 'clients' };
  return '/tags/' + Object.entries(tags).map(([tag, value]) => `${tag}=${encodeURIComponent(value)}`).join(';');
}

// scenarios returns the function that declares the scenarios of one client:
//
//   behavior  how the fake answers, by the names of its package
//   play      calls the server at base, with headers, and returns all that its
//             client gives it; the prompt names the scenario and the behavior
//   expect    says of that what must hold, so that two equal failures fail
//
// Each is played twice, and what the client saw must be the same.
export function scenarios(client) {
  return function scenario(name, { behavior = 'ok', play, expect, byPath = false }) {
    test(name, async () => {
      const prompt = `[[${client}|${name}|${behavior}]] Write a subject line.`;
      const through = byPath
        ? { base: bursar + tagPath(client, name), headers: {}, prompt }
        : { base: bursar, headers: tagHeaders(client, name), prompt };
      const without = await play({ base: direct, headers: {}, prompt });
      const withBursar = await play(through);
      expect(without);
      expect(withBursar);
      assert.deepEqual(plain(withBursar, { base: through.base, bursar: true }), plain(without, { base: direct, bursar: false }));
    });
  };
}

// collect returns everything that a stream yields, and the error it ended with.
// With leave, it is left after so many chunks: by breaking out of the loop, or
// by abort where that is given. What is still yielded then depends on the
// moment and is dropped.
export async function collect(stream, { leave = Infinity, abort } = {}) {
  const chunks = [];
  try {
    for await (const chunk of stream) {
      if (chunks.length === leave) continue;
      chunks.push(chunk);
      if (chunks.length < leave) continue;
      if (!abort) break;
      abort();
    }
    return { chunks };
  } catch (error) {
    return { chunks, error };
  }
}

// caught returns the error that a promise is rejected with.
export async function caught(promise) {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}

// The refusals that clients tell apart.
export const statuses = [400, 401, 402, 429, 500];

// A stream slow enough to be left in the middle, at a provider that stops
// then, and at one that runs on to the end.
export const stopping = 'stops-on-abort,chunks=60,interval=100ms';
export const runningOn = 'runs-on,chunks=60,interval=100ms';

// The arguments of every tool call the fake makes for weather.
export const weather = {
  name: 'weather',
  description: 'The weather in a city',
  schema: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city', 'days'], additionalProperties: false },
  arguments: { city: 'Zürich', days: 7 },
};
