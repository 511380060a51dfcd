import assert from 'node:assert/strict';

import Anthropic from '@anthropic-ai/sdk';

import { caught, collect, runningOn, scenarios, statuses, stopping, weather } from './scenario.mjs';

const scenario = scenarios('anthropic');

function connect({ base, headers }) {
  return new Anthropic({ apiKey: 'sk-or-v1-anthropic', baseURL: `${base}/api`, defaultHeaders: headers, maxRetries: 0, logLevel: 'off' });
}

const ask = ({ prompt }) => ({
  model: 'anthropic/claude-sonnet-4.6', max_tokens: 500, messages: [{ role: 'user', content: prompt }],
});
const tools = [{ name: weather.name, description: weather.description, input_schema: weather.schema }];

async function whole(promise) {
  const { data, response, request_id } = await promise.withResponse();
  return { data, request_id, status: response.status, headers: response.headers };
}

async function streamed(promise, leaving) {
  const { data, response } = await promise.withResponse();
  return { ...(await collect(data, leaving?.(data))), status: response.status, headers: response.headers };
}

scenario('message', {
  play: (call) => whole(connect(call).messages.create(ask(call))),
  expect({ data }) {
    assert.match(data.content[0].text, /\w+/);
    assert.ok(data.usage.cost > 0);
  },
});

scenario('message by a Bearer token', {
  play({ base, headers, prompt }) {
    const client = new Anthropic({ apiKey: null, authToken: 'sk-or-v1-anthropic', baseURL: `${base}/api`, defaultHeaders: headers, maxRetries: 0 });
    return whole(client.messages.create(ask({ prompt })));
  },
  expect: ({ data }) => assert.match(data.content[0].text, /\w+/),
});

scenario('message, tagged by the base URL alone', {
  byPath: true,
  play: (call) => whole(connect(call).messages.create(ask(call))),
  expect: ({ data }) => assert.match(data.content[0].text, /\w+/),
});

// OpenRouter ends this stream with [DONE], as Anthropic does not. Versions of
// this client that parse it report an error after the last event, without
// Bursar and with it; the other scenarios are about what precedes it.
scenario('message, streamed, ended by a DONE', {
  play: (call) => streamed(connect(call).messages.create({ ...ask(call), stream: true })),
  expect: ({ chunks }) => assert.equal(chunks.at(-1).type, 'message_stop'),
});

scenario('message, streamed', {
  behavior: 'no-done',
  play: (call) => streamed(connect(call).messages.create({ ...ask(call), stream: true })),
  expect({ chunks, error }) {
    assert.equal(error, undefined);
    assert.equal(chunks[0].type, 'message_start');
    assert.equal(chunks.at(-1).type, 'message_stop');
  },
});

scenario('message, streamed into its final message', {
  behavior: 'no-done',
  play: async (call) => {
    const stream = connect(call).messages.stream(ask(call));
    const texts = [];
    stream.on('text', (delta) => texts.push(delta));
    return { data: await stream.finalMessage(), texts };
  },
  expect({ data, texts }) {
    assert.equal(data.content[0].text, texts.join(''));
    assert.ok(data.usage.output_tokens > 0);
  },
});

function isToolUse({ data }) {
  const [block] = data.content;
  assert.equal(block.type, 'tool_use');
  assert.equal(block.name, weather.name);
  assert.deepEqual(block.input, weather.arguments);
}

scenario('message with a tool call', {
  play: (call) => whole(connect(call).messages.create({ ...ask(call), tools })),
  expect: isToolUse,
});

scenario('message with a tool call, streamed', {
  behavior: 'no-done',
  play: async (call) => ({ data: await connect(call).messages.stream({ ...ask(call), tools }).finalMessage() }),
  expect: isToolUse,
});

const classes = {
  400: Anthropic.BadRequestError, 401: Anthropic.AuthenticationError, 402: Anthropic.APIError,
  429: Anthropic.RateLimitError, 500: Anthropic.InternalServerError,
};
for (const status of statuses) {
  for (const stream of [false, true]) {
    scenario(`message${stream ? ', streamed,' : ''} refused with ${status}`, {
      behavior: `${status}`,
      play: (call) => caught(connect(call).messages.create({ ...ask(call), stream })),
      expect({ error }) {
        assert.ok(error instanceof classes[status], `${error}`);
        assert.equal(error.status, status);
        assert.ok(error.error.error.message.length > 0);
      },
    });
  }
}

for (const behavior of ['error-midway', 'error-midway-billed', 'error-first']) {
  scenario(`message, streamed, ${behavior}`, {
    behavior,
    play: (call) => streamed(connect(call).messages.create({ ...ask(call), stream: true })),
    expect({ chunks, error }) {
      assert.ok(error instanceof Anthropic.APIError, `${error}`);
      assert.equal(chunks.length > 2, behavior !== 'error-first', `${chunks.length} chunks`);
    },
  });
}

scenario('abort in the middle by its controller', {
  behavior: stopping,
  play: (call) => streamed(connect(call).messages.create({ ...ask(call), stream: true }),
    (stream) => ({ leave: 5, abort: () => stream.controller.abort() })),
  expect: ({ chunks }) => assert.equal(chunks.length, 5),
});

scenario('abort in the middle by leaving the loop', {
  behavior: runningOn,
  play: (call) => streamed(connect(call).messages.create({ ...ask(call), stream: true }), () => ({ leave: 5 })),
  expect: ({ chunks }) => assert.equal(chunks.length, 5),
});
