import assert from 'node:assert/strict';

import { HTTPClient, OpenRouter } from '@openrouter/sdk';
import * as errors from '@openrouter/sdk/models/errors';

import { caught, collect, runningOn, scenarios, statuses, stopping, weather } from './scenario.mjs';

const scenario = scenarios('openrouter');

// This client has no default headers; a hook is its documented way to send
// some with every call, and to look at the headers of the answer.
function connect({ base, headers }, seen = []) {
  const httpClient = new HTTPClient();
  httpClient.addHook('beforeRequest', (request) => {
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
  });
  httpClient.addHook('response', (response) => { seen.push(response); });
  return new OpenRouter({ apiKey: 'sk-or-v1-openrouter', serverURL: `${base}/api/v1`, httpClient, retryConfig: { strategy: 'none' } });
}

const ask = ({ prompt }, more) => ({
  chatRequest: { model: 'google/gemini-2.5-flash', messages: [{ role: 'user', content: prompt }], ...more },
});
const tools = [{ type: 'function', function: { name: weather.name, description: weather.description, parameters: weather.schema } }];

async function whole(call, more) {
  const responses = [];
  const data = await connect(call, responses).chat.send(ask(call, { ...more, stream: false }));
  return { data, responses };
}

async function streamed(call, more, leaving, options) {
  const responses = [];
  const stream = await connect(call, responses).chat.send(ask(call, { ...more, stream: true }), options);
  return { ...(await collect(stream, leaving)), responses };
}

scenario('chat', {
  play: (call) => whole(call),
  expect({ data }) {
    assert.match(data.choices[0].message.content, /\w+/);
    assert.ok(data.usage.cost > 0);
  },
});

scenario('chat, tagged by the base URL alone', {
  byPath: true,
  play: (call) => whole(call),
  expect: ({ data }) => assert.match(data.choices[0].message.content, /\w+/),
});

scenario('chat, streamed', {
  play: (call) => streamed(call),
  expect({ chunks, error }) {
    assert.equal(error, undefined);
    assert.match(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), /\w+/);
    assert.ok(chunks.at(-1).usage.cost > 0);
  },
});

scenario('chat with a tool call', {
  play: (call) => whole(call, { tools }),
  expect({ data }) {
    const [{ function: called }] = data.choices[0].message.toolCalls;
    assert.equal(called.name, weather.name);
    assert.deepEqual(JSON.parse(called.arguments), weather.arguments);
  },
});

scenario('chat with a tool call, streamed', {
  play: (call) => streamed(call, { tools }),
  expect({ chunks, error }) {
    assert.equal(error, undefined);
    const pieces = chunks.flatMap((chunk) => chunk.choices[0]?.delta.toolCalls ?? []);
    assert.equal(pieces[0].function.name, weather.name);
    assert.deepEqual(JSON.parse(pieces.map((piece) => piece.function.arguments).join('')), weather.arguments);
  },
});

const classes = {
  400: errors.BadRequestResponseError, 401: errors.UnauthorizedResponseError, 402: errors.PaymentRequiredResponseError,
  429: errors.TooManyRequestsResponseError, 500: errors.InternalServerResponseError,
};
for (const status of statuses) {
  for (const stream of [false, true]) {
    scenario(`chat${stream ? ', streamed,' : ''} refused with ${status}`, {
      behavior: `${status}`,
      play: (call) => caught(stream ? streamed(call) : whole(call)),
      expect({ error }) {
        assert.ok(error instanceof classes[status], `${error}`);
        assert.equal(error.statusCode, status);
        assert.ok(error.error.message.length > 0);
      },
    });
  }
}

for (const behavior of ['error-midway', 'error-midway-billed']) {
  scenario(`chat, streamed, ${behavior}`, {
    behavior,
    play: (call) => streamed(call),
    expect({ chunks }) {
      assert.ok(chunks.length > 2);
      assert.equal(chunks.at(-1).error.code, 502);
    },
  });
}

scenario('abort in the middle by its signal', {
  behavior: stopping,
  play(call) {
    const controller = new AbortController();
    return streamed(call, {}, { leave: 3, abort: () => controller.abort() }, { signal: controller.signal });
  },
  expect: ({ chunks }) => assert.equal(chunks.length, 3),
});

scenario('abort in the middle by leaving the loop', {
  behavior: runningOn,
  play: (call) => streamed(call, {}, { leave: 3 }),
  expect: ({ chunks }) => assert.equal(chunks.length, 3),
});
