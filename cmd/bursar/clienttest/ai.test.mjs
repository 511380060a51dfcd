import assert from 'node:assert/strict';

import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { APICallError, generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { z } from 'zod';

import { caught, collect, scenarios, statuses, stopping, weather } from './scenario.mjs';

const scenario = scenarios('ai');

function request({ base, headers, prompt }) {
  const openrouter = createOpenRouter({ apiKey: 'sk-or-v1-ai', baseURL: `${base}/api/v1`, headers });
  return { model: openrouter('anthropic/claude-haiku-4.5', { usage: { include: true } }), prompt, maxRetries: 0 };
}

const tools = { [weather.name]: tool({ description: weather.description, inputSchema: jsonSchema(weather.schema) }) };

async function whole(options) {
  const { text, toolCalls, finishReason, usage, providerMetadata, warnings, response, steps } = await generateText(options);
  return { text, toolCalls, finishReason, usage, providerMetadata, warnings, response, steps };
}

async function streamed(options, leaving) {
  const result = streamText({ ...options, onError() {} }); // it would print the error
  const seen = await collect(result.fullStream, leaving);
  const after = {};
  for (const name of ['text', 'toolCalls', 'finishReason', 'usage', 'providerMetadata', 'response']) {
    after[name] = await caught(result[name]);
  }
  return { ...seen, ...after };
}

scenario('text', {
  play: (call) => whole(request(call)),
  expect({ text, providerMetadata }) {
    assert.match(text, /\w+/);
    assert.ok(providerMetadata.openrouter.usage.cost > 0);
  },
});

scenario('text, tagged by the base URL alone', {
  byPath: true,
  play: (call) => whole(request(call)),
  expect: ({ text }) => assert.match(text, /\w+/),
});

scenario('text, streamed', {
  play: (call) => streamed(request(call)),
  expect({ chunks, text, finishReason }) {
    assert.equal(chunks.filter((part) => part.type === 'text-delta').map((part) => part.text).join(''), text.value);
    assert.equal(finishReason.value, 'stop');
  },
});

scenario('structured output', {
  play: async (call) => {
    const { output } = await generateText({ ...request(call), output: Output.object({ schema: z.object({ city: z.string(), days: z.number() }) }) });
    return { output };
  },
  expect: ({ output }) => assert.deepEqual(output, weather.arguments),
});

scenario('text with a tool call', {
  play: (call) => whole({ ...request(call), tools }),
  expect({ toolCalls }) {
    assert.equal(toolCalls[0].toolName, weather.name);
    assert.deepEqual(toolCalls[0].input, weather.arguments);
  },
});

scenario('text with a tool call, streamed', {
  play: (call) => streamed({ ...request(call), tools }),
  expect({ chunks, toolCalls }) {
    assert.ok(chunks.some((part) => part.type === 'tool-input-delta'));
    assert.deepEqual(toolCalls.value[0].input, weather.arguments);
  },
});

for (const status of statuses) {
  scenario(`text refused with ${status}`, {
    behavior: `${status}`,
    play: (call) => caught(whole(request(call))),
    expect({ error }) {
      assert.ok(APICallError.isInstance(error), `${error}`);
      assert.equal(error.statusCode, status);
      assert.equal(error.isRetryable, status === 429 || status === 500);
    },
  });

  scenario(`text, streamed, refused with ${status}`, {
    behavior: `${status}`,
    play: (call) => streamed(request(call)),
    expect({ chunks }) {
      const { error } = chunks.find((part) => part.type === 'error');
      assert.ok(APICallError.isInstance(error), `${error}`);
      assert.equal(error.statusCode, status);
    },
  });
}

for (const behavior of ['error-midway', 'error-midway-billed']) {
  scenario(`text, streamed, ${behavior}`, {
    behavior,
    play: (call) => streamed(request(call)),
    expect({ chunks }) {
      assert.ok(chunks.some((part) => part.type === 'text-delta'));
      assert.ok(chunks.some((part) => part.type === 'error'));
    },
  });
}

scenario('abort in the middle by its signal', {
  behavior: stopping,
  play(call) {
    const controller = new AbortController();
    return streamed({ ...request(call), abortSignal: controller.signal }, { leave: 6, abort: () => controller.abort() });
  },
  expect: ({ chunks }) => assert.equal(chunks.length, 6),
});
