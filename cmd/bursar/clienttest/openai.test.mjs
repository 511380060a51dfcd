import assert from 'node:assert/strict';

import OpenAI from 'openai';

import { caught, collect, runningOn, scenarios, statuses, stopping, weather } from './scenario.mjs';

const scenario = scenarios('openai');
const model = 'openai/gpt-4o-mini';

function connect({ base, headers }) {
  return new OpenAI({ apiKey: 'sk-or-v1-openai', baseURL: `${base}/api/v1`, defaultHeaders: headers, maxRetries: 0 });
}

const ask = ({ prompt }) => ({ model, messages: [{ role: 'user', content: prompt }] });
const tools = [{ type: 'function', function: { name: weather.name, description: weather.description, parameters: weather.schema } }];

// whole is everything that a call without a stream gives.
async function whole(promise) {
  const { data, response } = await promise.withResponse();
  return { data, status: response.status, headers: response.headers };
}

// streamed is everything that a call with a stream gives.
async function streamed(promise, leaving) {
  const { data, response } = await promise.withResponse();
  return { ...(await collect(data, leaving?.(data))), status: response.status, headers: response.headers };
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');

function isText({ data }) {
  assert.match(data.choices[0].message.content, /\w+/);
  assert.ok(data.usage.cost > 0);
}

function isTextStream({ chunks, error }) {
  assert.equal(error, undefined);
  assert.match(textOf(chunks), /\w+/);
  assert.ok(chunks.at(-1).usage.cost > 0);
}

scenario('chat', { play: (call) => whole(connect(call).chat.completions.create(ask(call))), expect: isText });

scenario('chat, streamed', {
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true })),
  expect: isTextStream,
});

scenario('chat, streamed with keep-alives inside events and CRLF', {
  behavior: 'comments,crlf,split,usage-no-choices',
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true, stream_options: { include_usage: true } })),
  expect: isTextStream,
});

scenario('chat, tagged by the base URL alone', {
  byPath: true,
  play: (call) => whole(connect(call).chat.completions.create(ask(call))),
  expect: isText,
});

scenario('chat, streamed, tagged by the base URL alone', {
  byPath: true,
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true })),
  expect: isTextStream,
});

scenario('chat with a tool call', {
  play: (call) => whole(connect(call).chat.completions.create({ ...ask(call), tools })),
  expect({ data }) {
    const [{ function: called }] = data.choices[0].message.tool_calls;
    assert.equal(called.name, weather.name);
    assert.deepEqual(JSON.parse(called.arguments), weather.arguments);
  },
});

scenario('chat with a tool call, streamed', {
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), tools, stream: true })),
  expect({ chunks, error }) {
    assert.equal(error, undefined);
    const pieces = chunks.flatMap((chunk) => chunk.choices[0]?.delta?.tool_calls ?? []);
    assert.equal(pieces[0].function.name, weather.name);
    assert.deepEqual(JSON.parse(pieces.map((piece) => piece.function.arguments).join('')), weather.arguments);
  },
});

scenario('chat, streamed into its final completion', {
  play: async (call) => {
    const runner = connect(call).chat.completions.stream({ ...ask(call), stream: true });
    return { data: await runner.finalChatCompletion() };
  },
  expect: ({ data }) => assert.match(data.choices[0].message.content, /\w+/),
});

scenario('responses', {
  play: (call) => whole(connect(call).responses.create({ model, input: call.prompt })),
  expect: ({ data }) => assert.match(data.output_text, /\w+/),
});

scenario('responses, streamed', {
  play: (call) => streamed(connect(call).responses.create({ model, input: call.prompt, stream: true })),
  expect({ chunks, error }) {
    assert.equal(error, undefined);
    assert.equal(chunks.at(-1).type, 'response.completed');
  },
});

scenario('embeddings', {
  play: (call) => whole(connect(call).embeddings.create({ model: 'openai/text-embedding-3-small', input: call.prompt })),
  expect: ({ data }) => assert.ok(data.data[0].embedding.length > 0),
});

const classes = {
  400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 402: OpenAI.APIError,
  429: OpenAI.RateLimitError, 500: OpenAI.InternalServerError,
};
for (const status of statuses) {
  for (const stream of [false, true]) {
    scenario(`chat${stream ? ', streamed,' : ''} refused with ${status}`, {
      behavior: `${status}`,
      play: (call) => caught(connect(call).chat.completions.create({ ...ask(call), stream })),
      expect({ error }) {
        assert.ok(error instanceof classes[status], `${error}`);
        assert.equal(error.status, status);
        assert.ok(error.error.message.length > 0);
      },
    });
  }
}

scenario('chat, refused by a page of the edge', {
  behavior: 'cloudflare',
  play: (call) => caught(connect(call).chat.completions.create(ask(call))),
  expect: ({ error }) => assert.equal(error.status, 403),
});

for (const behavior of ['error-midway', 'error-midway-billed', 'error-first']) {
  scenario(`chat, streamed, ${behavior}`, {
    behavior,
    play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true })),
    expect({ chunks, error }) {
      assert.ok(error instanceof OpenAI.APIError, `${error}`);
      assert.equal(chunks.length > 2, behavior !== 'error-first', `${chunks.length} chunks`);
    },
  });
}

scenario('chat, streamed, the connection breaks in the middle', {
  behavior: 'cut,fault-after=3,chunks=9,interval=20ms',
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true })),
  expect({ chunks, error }) {
    assert.ok(error instanceof Error);
    assert.equal(chunks.length, 4);
  },
});

scenario('abort in the middle by its controller', {
  behavior: stopping,
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true }),
    (stream) => ({ leave: 3, abort: () => stream.controller.abort() })),
  expect: ({ chunks }) => assert.equal(chunks.length, 3),
});

scenario('abort in the middle by its signal', {
  behavior: stopping,
  play(call) {
    const controller = new AbortController();
    return streamed(connect(call).chat.completions.create({ ...ask(call), stream: true }, { signal: controller.signal }),
      () => ({ leave: 3, abort: () => controller.abort() }));
  },
  expect: ({ chunks }) => assert.equal(chunks.length, 3),
});

scenario('abort in the middle by leaving the loop', {
  behavior: runningOn,
  play: (call) => streamed(connect(call).chat.completions.create({ ...ask(call), stream: true }), () => ({ leave: 3 })),
  expect: ({ chunks }) => assert.equal(chunks.length, 3),
});
